/**
 * Paths under the page's base. A screen is a path, its filters are the query string: reloading or sending the address
 * to somebody shows the same thing.
 */
import { computed, signal } from '@preact/signals'

export interface Place {
  /** Decoded segments after the base: `['services', 'users', 'users-1']`. */
  path: string[]
  query: URLSearchParams
}

/** Where the application is mounted, with a slash at its end. */
export const base = new URL(document.baseURI)

function read(): Place {
  const { pathname, search } = window.location
  const rest = pathname.startsWith(base.pathname) ? pathname.slice(base.pathname.length) : ''
  const path = rest.split('/').filter(Boolean).map(decode)
  return { path, query: new URLSearchParams(search) }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

export const place = signal<Place>(read())
/** The path as one string: changes when the screen does, not when a filter does. */
export const screen = computed(() => place.value.path.map(encodeURIComponent).join('/'))

window.addEventListener('popstate', () => {
  place.value = read()
})

/** The address of a screen: absolute, so that it works in `href` whatever the base. */
export function to(path: readonly string[], query?: Record<string, string | undefined>): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query ?? {})) if (value) search.set(key, value)
  const tail = search.size ? `?${search}` : ''
  return `${base.pathname}${path.map(encodeURIComponent).join('/')}${tail}`
}

/** Goes to an address made by `to`. */
export function go(href: string): void {
  history.pushState(null, '', href)
  place.value = read()
  document.querySelector('main')?.scrollTo(0, 0)
}

/** Changes filters of this screen; `undefined` or an empty text takes one out. No step in the history. */
export function refine(change: Record<string, string | undefined>): void {
  const query = new URLSearchParams(place.peek().query)
  for (const [key, value] of Object.entries(change)) {
    if (value) query.set(key, value)
    else query.delete(key)
  }
  const tail = query.size ? `?${query}` : ''
  history.replaceState(null, '', window.location.pathname + tail)
  place.value = read()
}

/** The value of a filter. */
export function filter(name: string): string {
  return place.value.query.get(name) ?? ''
}

/** Links inside the application change the screen without loading the page; those with a modifier are the browser's. */
export function followLinks(): void {
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = (event.target as Element | null)?.closest?.('a')
    if (!link || link.target || link.hasAttribute('download') || link.origin !== window.location.origin) return
    if (!link.pathname.startsWith(base.pathname)) return
    event.preventDefault()
    go(link.pathname + link.search)
  })
}
