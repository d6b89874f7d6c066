import { render } from 'preact'
import './style/app.css'
import { App } from './app'
import { go, followLinks, to } from './lib/router'
import { listen } from './lib/keys'
import { applyTheme, theme } from './lib/theme'
import { helping } from './parts/help'
import { paletteOpen } from './parts/palette'
import { startFeed } from './state/feed'

applyTheme(theme.peek())
followLinks()
listen({
  palette: () => (paletteOpen.value = !paletteOpen.value),
  help: () => (helping.value = true),
  go: (screen) => go(to(screen ? [screen] : [])),
})
startFeed()
const root = document.getElementById('app')
if (root) render(<App />, root)
