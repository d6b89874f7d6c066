/** What keys do. Letters do nothing while somebody types, or while a dialog is open. */
import { SCREENS } from '../parts/screens'

export interface List {
  move: (by: number) => void
  edge: (last: boolean) => void
  open: () => void
}

const lists: List[] = []

/** The list that `j`, `k` and Enter act on: the one that came last. */
export function useAsList(list: List): () => void {
  lists.push(list)
  return () => {
    const at = lists.indexOf(list)
    if (at >= 0) lists.splice(at, 1)
  }
}

export interface Keys {
  palette: () => void
  help: () => void
  go: (screen: string) => void
}


/** `g` and then a screen's key goes there. */
const GO: Record<string, string> = Object.fromEntries(SCREENS.map((screen) => [screen.key, screen.path]))

let pending = 0

export function listen(keys: Keys): void {
  document.addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement | null
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k' && !event.shiftKey && !event.altKey) {
      event.preventDefault()
      keys.palette()
      return
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return
    if (target?.matches('input, textarea, select, [contenteditable]')) return
    const list = lists.at(-1)
    if (Date.now() - pending < 1200) {
      pending = 0
      const screen = GO[event.key]
      if (screen !== undefined) {
        event.preventDefault()
        keys.go(screen)
        return
      }
    }
    switch (event.key) {
      case '/': {
        const filter = document.querySelector<HTMLInputElement>('[data-filter]')
        if (filter) filter.focus()
        else keys.palette()
        break
      }
      case '?':
        keys.help()
        break
      case 'g':
        pending = Date.now()
        return
      case 'j':
        list?.move(1)
        break
      case 'k':
        list?.move(-1)
        break
      case 'Enter':
        // A focused link or button is what the reader means.
        if (!list || target?.matches('a, button, summary')) return
        list.open()
        break
      default:
        return
    }
    event.preventDefault()
  })
}
