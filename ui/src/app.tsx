/** The frame around every screen: navigation, the state of the connection, and what opens over it. */
import type { ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { token } from './lib/api'
import { int, span } from './lib/format'
import { place, screen, to } from './lib/router'
import { nextTheme, theme } from './lib/theme'
import { Overview } from './pages/overview'
import { Services } from './pages/services'
import { Acts, askingToken } from './parts/act'
import { Help, helping } from './parts/help'
import { Icon } from './parts/icon'
import { Palette, paletteOpen } from './parts/palette'
import { SCREENS } from './parts/screens'
import { Toasts } from './parts/toast'
import { retryNow } from './state/feed'
import { index, link, mode, now, ready, rev, services, tick } from './state/store'

/** Ticks come each second; a figure older than this is told as old. */
const FRESH = 4000

export function App() {
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault()
        document.querySelector<HTMLElement>('main')?.focus()
      }}>Skip to the content</a>
      <Nav />
      <Bar />
      <Main />
      <Palette />
      <Acts />
      <Help />
      <Toasts />
    </>
  )
}

/** How old what is shown is, ms; 0 while it is fresh. */
function age(): number {
  const { heard, state } = link.value
  if (!heard) return 0
  const old = now.value - heard
  return state === 'live' && old < FRESH ? 0 : Math.max(0, old)
}

function Nav() {
  const [open, setOpen] = useState(false)
  const here = place.value.path[0] ?? ''
  useEffect(() => {
    document.documentElement.toggleAttribute('data-nav', open)
  }, [open])
  useEffect(() => setOpen(false), [screen.value])
  return (
    <>
      <button type="button" class="icon-button nav-open" aria-label="Navigation" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? 'close' : 'menu'} />
      </button>
      {open && <div class="nav-shade" onClick={() => setOpen(false)} />}
      <nav class="nav" aria-label="Screens">
        <a class="brand" href={to([])}>
          <svg width="20" height="20" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" class="brand-box" />
            <path d="M9 10.500h14M9 16h10M9 21.500h14" stroke="#fff" stroke-width="3" stroke-linecap="round" />
          </svg>
          ellie
        </a>
        {SCREENS.map((item, i) => (
          <a
            key={item.path}
            href={to(item.path ? [item.path] : [])}
            class={`nav-item ${i > 0 && SCREENS[i - 1]?.group !== item.group ? 'gap' : ''}`}
            aria-current={here === item.path ? 'page' : undefined}
          >
            <Icon name={item.icon} />
            <span>{item.label}</span>
            <Badge screen={item.path} />
          </a>
        ))}
        <Foot />
      </nav>
    </>
  )
}

/** How many things of a screen are not well. */
function Badge({ screen: name }: { screen: string }) {
  let n = 0
  let word = ''
  if (name === 'services') {
    void rev.value
    for (const service of services.values()) if (service.wire.status === 'unhealthy') n++
    word = 'unhealthy'
  } else if (name === 'breakers') {
    for (const breaker of Object.values(tick.value?.breakers ?? {})) if (breaker.state === 'open') n++
    word = 'open'
  }
  if (!n) return null
  return (
    <span class="badge bad num" title={`${n} ${word}`}>
      {n}
      <span class="offscreen"> {word}</span>
    </span>
  )
}

function Foot() {
  const { version, startedAt, store } = mode.value
  const up = startedAt ? now.value - Date.parse(startedAt) : Number.NaN
  return (
    <div class="nav-foot">
      {version && <div>ellie {version}</div>}
      {Number.isFinite(up) && <div>up {span(up)}</div>}
      {tick.value?.memory !== undefined && <div>{int(tick.value.memory)} MiB</div>}
      {store && (
        <div title="Grows with every change of the registry">
          {store}, index <span class="num">{index.value}</span>
        </div>
      )}
    </div>
  )
}

function Bar() {
  const old = age()
  useEffect(() => {
    document.documentElement.toggleAttribute('data-stale', old > 0)
  }, [old > 0])
  return (
    <header class="bar">
      <button type="button" class="bar-search" onClick={() => (paletteOpen.value = true)}>
        <Icon name="search" size={14} />
        <span>Go to or do</span>
        <kbd>Ctrl K</kbd>
      </button>
      <Connection old={old} />
      <button type="button" class="bar-button" onClick={() => (askingToken.value = true)} title={token.value ? 'A token is kept in this tab: you can act' : 'No token: you can look'}>
        <Icon name={token.value ? 'unlock' : 'lock'} size={14} />
        <span class="bar-word">{token.value ? 'Can act' : 'Read only'}</span>
      </button>
      <button type="button" class="icon-button" aria-label={`Theme: ${theme.value}`} title={`Theme: ${theme.value}`} onClick={nextTheme}>
        <Icon name={theme.value === 'system' ? 'auto' : theme.value === 'light' ? 'sun' : 'moon'} />
      </button>
      <button type="button" class="icon-button bar-help" aria-label="Keys" title="Keys (?)" onClick={() => (helping.value = true)}>
        <Icon name="help" />
      </button>
    </header>
  )
}

function Connection({ old }: { old: number }) {
  const { state, heard, why, retryAt } = link.value
  if (state === 'locked') {
    return (
      <button type="button" class="link bad" onClick={() => (askingToken.value = true)}>
        <Icon name="lock" size={14} /> Reading needs a token
      </button>
    )
  }
  if (!heard && state === 'connecting') {
    return (
      <span class="link idle" role="status">
        <Icon name="dashed" size={14} /> Connecting …
      </span>
    )
  }
  if (old === 0 && state === 'live') {
    return (
      <span class="link ok" role="status">
        <span class="pulse" aria-hidden="true" /> Live
      </span>
    )
  }
  const wait = retryAt - now.value
  return (
    <span class="link warn" role="status" title={why}>
      <Icon name="triangle" size={14} />
      <span>
        {heard ? `As of ${span(old)} ago` : 'Not connected'}
        <span class="link-why">{why ? `: ${why}` : ''}</span>
      </span>
      {state === 'lost' && (
        <button type="button" class="button small" onClick={retryNow}>
          {wait > 900 ? `Retry (${Math.ceil(wait / 1000)} s)` : 'Retry'}
        </button>
      )}
    </span>
  )
}

type Page = ComponentType

/** Screens beyond the first two are loaded when they are asked for. */
const LATER: Record<string, () => Promise<Page>> = {
  service: () => import('./pages/service').then((m) => m.default),
  instance: () => import('./pages/instance').then((m) => m.default),
  balancer: () => import('./pages/balancer').then((m) => m.default),
  breakers: () => import('./pages/breakers').then((m) => m.default),
  gateway: () => import('./pages/gateway').then((m) => m.default),
  processes: () => import('./pages/processes').then((m) => m.default),
  topology: () => import('./pages/topology').then((m) => m.default),
  events: () => import('./pages/events').then((m) => m.default),
  config: () => import('./pages/config').then((m) => m.default),
}

const loadedPages = new Map<string, Page>()

function Main() {
  const [first, , third] = place.value.path
  const name = first === undefined ? '' : first === 'services' && place.value.path.length > 1 ? (third === undefined ? 'service' : 'instance') : first
  const label = SCREENS.find((item) => item.path === (first ?? ''))?.label ?? 'Not found'
  const subject = place.value.path.slice(1).filter((part) => part !== 'test').at(-1)
  useEffect(() => {
    document.title = `${subject ? `${subject} · ` : ''}${label} · ellie`
  }, [label, subject])
  return (
    <main id="main" tabIndex={-1} data-screen={name || 'overview'} data-ready={ready.value}>
      <Screen name={name} />
    </main>
  )
}

function Screen({ name }: { name: string }) {
  const [, drawn] = useState(0)
  const [failed, setFailed] = useState<Error | null>(null)
  const load = LATER[name]
  const here = name === '' ? Overview : name === 'services' ? Services : loadedPages.get(name)
  useEffect(() => {
    if (here || !load) return
    setFailed(null)
    load().then(
      (page) => {
        loadedPages.set(name, page)
        drawn((n) => n + 1)
      },
      (error: unknown) => setFailed(error instanceof Error ? error : new Error(String(error))),
    )
  }, [name])
  if (!ready.value) return <Waiting />
  if (here) {
    const Here = here
    return <Here key={name} />
  }
  if (!load) {
    return (
      <div class="empty">
        <h1>There is no such screen</h1>
        <p>
          The address may have been cut. <a href={to([])}>Go to the overview</a>
        </p>
      </div>
    )
  }
  if (failed) {
    return (
      <div class="notice bad" role="alert">
        <Icon name="octagon" />
        <div>
          <strong>This screen could not be loaded</strong>
          <div>{failed.message}. The server may have been replaced by another version.</div>
        </div>
        <button type="button" class="button" onClick={() => window.location.reload()}>
          Load again
        </button>
      </div>
    )
  }
  return null
}

function Waiting() {
  const { state, why } = link.value
  if (state === 'locked') {
    return (
      <div class="empty">
        <h1>Reading is protected here</h1>
        <p>Paste a token of the scope read or more; it is kept for this tab only.</p>
        <p>
          <button type="button" class="button primary" onClick={() => (askingToken.value = true)}>
            <Icon name="lock" size={14} /> Paste a token
          </button>
        </p>
      </div>
    )
  }
  if (state === 'lost') {
    return (
      <div class="empty">
        <h1>ellie can’t be reached</h1>
        <p>{why}. It is tried again every few seconds.</p>
      </div>
    )
  }
  return <p class="loading" role="status">Loading …</p>
}
