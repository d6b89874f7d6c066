/** Ctrl-K: goes to any screen, service or instance, and does what can be done. */
import { signal } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { token } from '../lib/api'
import { count } from '../lib/format'
import { go, place, to } from '../lib/router'
import { matcher } from '../lib/sorted'
import { nextTheme, theme } from '../lib/theme'
import { type Act, actsOf, breakerActs, reload, strategy } from '../state/acts'
import { rowOf, services } from '../state/store'
import { instanceWord, statusWord } from '../state/words'
import { actIcon, ask, askingToken } from './act'
import { Dialog } from './dialog'
import { helping } from './help'
import { Icon } from './icon'
import { SCREENS } from './screens'

export const paletteOpen = signal(false)

interface Item {
  key: string
  icon: string
  tone?: string
  label: string
  hint: string
  hay: string
  run: () => void
}

const MOST = 60

function item(act: Act, hint = act.title): Item {
  return { key: `act:${act.title}:${act.key}`, icon: actIcon(act), label: hint === act.title ? act.verb : act.title, hint, hay: `${act.verb} ${act.title}`.toLowerCase(), run: () => ask(act) }
}

function here(): Item[] {
  const [screen, name, id] = place.peek().path
  if (screen === 'services' && name && id) {
    const row = rowOf(name, id)
    return row ? actsOf(row).map((act) => item(act)) : []
  }
  if (screen === 'services' && name && services.has(name)) return [strategy(name), ...breakerActs(name)].map((act) => item(act))
  return []
}

function fixed(): Item[] {
  const screens = SCREENS.map((screen): Item => ({ key: `go:${screen.path}`, icon: screen.icon, label: screen.label, hint: `g ${screen.key}`, hay: `${screen.label} screen`.toLowerCase(), run: () => go(to(screen.path ? [screen.path] : [])) }))
  const general: Item[] = [
    { key: 'strategy', icon: 'balancer', label: 'Switch the strategy of all services', hint: 'action', hay: 'switch strategy of all services load balancer', run: () => ask(strategy(null)) },
    { key: 'reload', icon: 'refresh', label: 'Reload the configuration', hint: 'action', hay: 'reload configuration', run: () => ask(reload()) },
    { key: 'route-test', icon: 'gateway', label: 'Test a route', hint: 'Gateway', hay: 'test a route gateway tester', run: () => go(to(['gateway', 'test'])) },
    { key: 'token', icon: token.peek() ? 'unlock' : 'lock', label: token.peek() ? 'Forget the token' : 'Paste a token', hint: '', hay: 'token paste forget unlock', run: () => (askingToken.value = true) },
    { key: 'theme', icon: 'auto', label: 'Change the theme', hint: theme.peek(), hay: 'theme light dark system', run: nextTheme },
    { key: 'help', icon: 'help', label: 'Keys', hint: '?', hay: 'keys keyboard shortcuts help', run: () => (helping.value = true) },
  ]
  return [...here(), ...screens, ...general]
}

const MOST_ACTS = 12

/** `drain users-2`, `force open payments`: the words before the first that names no act are the act, the rest is whom. */
function doing(query: string): Item[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const found: Item[] = []
  for (let n = 1; n < words.length && n <= 2; n++) {
    const [verb, takes] = [words.slice(0, n), matcher(words.slice(n).join(' '))]
    const fits = (act: Act): boolean => verb.every((word) => `${act.verb} ${act.key}`.toLowerCase().split(/[\s-]+/).some((part) => part.startsWith(word)))
    for (const service of services.values()) {
      if (takes(service.name.toLowerCase())) found.push(...[strategy(service.name), ...breakerActs(service.name)].filter(fits).map((act) => item(act, 'action')))
      for (const row of service.rows.values()) {
        if (found.length >= MOST_ACTS) return found
        if (takes(row.id.toLowerCase()) || takes(row.address)) found.push(...actsOf(row).filter(fits).map((act) => item(act, service.name)))
      }
    }
  }
  return found
}

function find(query: string): Item[] {
  const takes = matcher(query)
  const found = fixed().filter((one) => takes(one.hay))
  if (!query.trim()) return found
  const known = new Set(found.map((one) => one.key))
  found.unshift(...doing(query).filter((one) => !known.has(one.key)))
  for (const service of services.values()) {
    if (found.length >= MOST) return found
    if (!takes(service.hay)) continue
    const word = statusWord(service.wire.status)
    found.push({ key: `s:${service.name}`, icon: word.icon, tone: word.tone, label: service.name, hint: count(service.total, 'instance'), hay: '', run: () => go(to(['services', service.name])) })
  }
  for (const service of services.values()) {
    for (const row of service.rows.values()) {
      if (found.length >= MOST) return found
      if (!takes(row.hay)) continue
      const word = instanceWord(row.inst)
      found.push({ key: `i:${service.name}/${row.id}`, icon: word.icon, tone: word.tone, label: row.id, hint: `${service.name} · ${row.address}`, hay: '', run: () => go(to(['services', service.name, row.id])) })
    }
  }
  return found
}

export function Palette() {
  if (!paletteOpen.value) return null
  return <Open />
}

function Open() {
  const [query, setQuery] = useState('')
  const [at, setAt] = useState(0)
  const list = useRef<HTMLUListElement>(null)
  const items = useMemo(() => find(query), [query])
  const close = (): void => {
    paletteOpen.value = false
  }
  const run = (item: Item | undefined): void => {
    if (!item) return
    close()
    item.run()
  }
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' })
  }, [at, items])
  return (
    <Dialog label="Go to or do" onClose={close} kind="palette">
      <label class="palette-input">
        <Icon name="search" />
        <input
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={items.length ? `palette-${at}` : undefined}
          aria-label="Search screens, services, instances and actions"
          placeholder="Service, instance, screen or action"
          autocomplete="off"
          spellcheck={false}
          autofocus
          value={query}
          onInput={(event) => {
            setQuery(event.currentTarget.value)
            setAt(0)
          }}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown' || (event.ctrlKey && event.key === 'n')) setAt((old) => Math.min(items.length - 1, old + 1))
            else if (event.key === 'ArrowUp' || (event.ctrlKey && event.key === 'p')) setAt((old) => Math.max(0, old - 1))
            else if (event.key === 'Enter') run(items[at])
            else return
            event.preventDefault()
          }}
        />
      </label>
      <ul id="palette-list" role="listbox" aria-label="Found" ref={list}>
        {items.map((item, i) => (
          <li key={item.key} id={`palette-${i}`} role="option" aria-selected={i === at} onMouseMove={() => setAt(i)} onClick={() => run(item)}>
            <span class={`palette-icon ${item.tone ?? ''}`}>
              <Icon name={item.icon} />
            </span>
            <span class="palette-label">{item.label}</span>
            <span class="palette-hint">{item.hint}</span>
          </li>
        ))}
      </ul>
      {items.length === 0 && <p class="palette-none">Nothing is called that.</p>}
    </Dialog>
  )
}
