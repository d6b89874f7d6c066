/** Small pieces that every screen uses. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ago, moment, percent, span } from '../lib/format'
import { to } from '../lib/router'
import { now } from '../state/store'
import type { Word } from '../state/words'
import { Icon } from './icon'

/** A state: sign and word in its colour. */
export function State({ word, size = 14 }: { word: Word; size?: number }) {
  return (
    <span class={`state ${word.tone}`}>
      <Icon name={word.icon} size={size} />
      <span>{word.word}</span>
    </span>
  )
}

/** `3 m 20 s ago`, with the moment itself as a tip. It counts on by itself. */
export function Ago({ at, plain }: { at: string | number | undefined; plain?: boolean }) {
  const ms = typeof at === 'number' ? at : at ? Date.parse(at) : Number.NaN
  if (!Number.isFinite(ms)) return <span class="dim">–</span>
  return (
    <time dateTime={new Date(ms).toISOString()} title={moment(ms, now.peek())}>
      {plain && now.value - ms >= 1000 ? span(now.value - ms) : ago(ms, now.value)}
    </time>
  )
}

/** What is left until `at`. */
export function Left({ until }: { until: string | number }) {
  const ms = typeof until === 'number' ? until : Date.parse(until)
  return <span class="num">{span(Math.max(0, ms - now.value))} left</span>
}

export function ServiceLink({ name }: { name: string }) {
  return <a class="name" href={to(['services', name])}>{name}</a>
}

export function InstanceLink({ service, id }: { service: string; id: string }) {
  return <a class="name" href={to(['services', service, id])}>{id}</a>
}

/** A share of the whole as a bar, with a mark where it is meant to be. */
export function ShareBar({ share, expected, tone }: { share: number | null | undefined; expected?: number | null | undefined; tone?: string }) {
  return (
    <span class="share">
      <span class="share-bar" aria-hidden="true">
        <span class={`share-fill ${tone ?? ''}`} style={{ width: `${Math.min(100, (share ?? 0) * 100)}%` }} />
        {expected !== null && expected !== undefined && <span class="share-mark" style={{ left: `${Math.min(100, expected * 100)}%` }} />}
      </span>
      <span class="num share-num">{percent(share)}</span>
    </span>
  )
}

/** Healthy, degraded and unhealthy of all as one bar. */
export function Split({ healthy, degraded, unhealthy, held = 0, awaiting = 0 }: { healthy: number; degraded: number; unhealthy: number; held?: number; awaiting?: number }) {
  const sum = healthy + degraded + unhealthy + held + awaiting || 1
  const part = (n: number, tone: string) => n > 0 && <span class={`split-part ${tone}`} style={{ flexGrow: n / sum }} />
  return (
    <span class="split" aria-hidden="true">
      {part(healthy, 'ok')}
      {part(degraded, 'warn')}
      {part(unhealthy, 'bad')}
      {part(held, 'hold')}
      {part(awaiting, 'idle')}
    </span>
  )
}

/** A command that can be taken along. */
export function Copy({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [done, setDone] = useState(false)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const copy = async (): Promise<void> => {
    const ok = await toClipboard(text)
    setDone(ok)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => setDone(false), 1500)
  }
  return (
    <button type="button" class="icon-button" aria-label={done ? 'Copied' : label} title={done ? 'Copied' : label} onClick={() => void copy()}>
      <Icon name={done ? 'tick' : 'copy'} size={14} />
    </button>
  )
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    // Without https the clipboard is closed to scripts, but a selection can still be copied.
    const area = document.createElement('textarea')
    area.value = text
    area.className = 'offscreen'
    ;(document.querySelector('dialog[open]') ?? document.body).append(area)
    area.select()
    const ok = document.execCommand('copy')
    area.remove()
    return ok
  }
}

export function Command({ text, label }: { text: string; label?: string }) {
  return (
    <div class="command">
      {label && <span class="command-label">{label}</span>}
      <code tabIndex={0}>{text}</code>
      <Copy text={text} label={`Copy ${label ?? 'command'}`} />
    </div>
  )
}

/** Nothing is here: why, and what would change that. */
export function Empty({ title, children, commands = [] }: { title: string; children?: ComponentChildren; commands?: string[] }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {commands.map((text) => <Command key={text} text={text} />)}
    </div>
  )
}

/** The head of a screen. */
export function Head({ title, sub, children, crumbs = [] }: { title: ComponentChildren; sub?: ComponentChildren; children?: ComponentChildren; crumbs?: { label: string; href: string }[] }) {
  return (
    <header class="head">
      <div class="head-text">
        {crumbs.length > 0 && (
          <nav class="crumbs" aria-label="Breadcrumb">
            {crumbs.map((crumb) => (
              <span key={crumb.href}>
                <a href={crumb.href}>{crumb.label}</a>
                <Icon name="chevron" size={10} />
              </span>
            ))}
          </nav>
        )}
        <h1>{title}</h1>
        {sub && <div class="head-sub">{sub}</div>}
      </div>
      {children && <div class="head-actions">{children}</div>}
    </header>
  )
}

export interface Choice {
  value: string
  label: ComponentChildren
  count?: number | undefined
}

/** One of a few; the first stands for no filter. */
export function Segments({ label, choices, value, onChange }: { label: string; choices: readonly Choice[]; value: string; onChange: (value: string) => void }) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {choices.map((choice) => (
        <button key={choice.value} type="button" aria-pressed={choice.value === value} onClick={() => onChange(choice.value)}>
          {choice.label}
          {choice.count !== undefined && <span class="num count">{choice.count.toLocaleString('en-US')}</span>}
        </button>
      ))}
    </div>
  )
}

/** The filter of a screen; `/` goes to it. */
export function Filter({ value, onChange, placeholder, label }: { value: string; onChange: (value: string) => void; placeholder: string; label: string }) {
  return (
    <label class="filter">
      <Icon name="search" size={14} />
      <input
        type="search"
        aria-label={label}
        placeholder={placeholder}
        value={value}
        data-filter
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => onChange(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            if (value) onChange('')
            else event.currentTarget.blur()
            event.stopPropagation()
          }
        }}
      />
      <kbd>/</kbd>
    </label>
  )
}

/** Name and value pairs. */
export function Facts({ items }: { items: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {items.map(([name, content]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{content}</dd>
        </div>
      ))}
    </dl>
  )
}

export function Loading({ what }: { what: string }) {
  return <p class="loading" role="status">Loading {what} …</p>
}

export function Failed({ what, error, retry }: { what: string; error: Error; retry?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <Icon name="octagon" />
      <div>
        <strong>{what}</strong>
        <div>{error.message}</div>
      </div>
      {retry && <button type="button" class="button" onClick={retry}>Try again</button>}
    </div>
  )
}
