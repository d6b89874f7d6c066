/** Connects this tab to the stream: through the shared worker, or by itself where there is none. */
import { effect } from '@preact/signals'
import { apiUrl, get, token } from '../lib/api'
import type { History } from '../lib/types'
import { fillHistory } from './history'
import { epoch, link, now, receive, setEvents } from './store'
import { Stream } from './stream'
import type { FromTab, ToTab } from './worker'

let send: (message: FromTab) => void = () => {}
let sharing = false

/** Whether other tabs use the same connection. */
export function isShared(): boolean {
  return sharing
}

export function retryNow(): void {
  send({ kind: 'retry' })
}

export function startFeed(): void {
  const url = apiUrl('ui/stream')
  if (!share(url)) alone(url)
  effect(() => {
    send({ kind: 'token', token: token.value })
  })
  effect(() => {
    if (epoch.value > 0) void loadHistory()
  })
  // Seconds count on while nothing comes.
  setInterval(() => {
    if (Date.now() - now.peek() > 900) now.value = Date.now()
  }, 1000)
  window.addEventListener('online', retryNow)
}

function share(url: string): boolean {
  if (typeof SharedWorker === 'undefined') return false
  let worker: SharedWorker
  try {
    worker = new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'ellie' })
  } catch {
    return false
  }
  const { port } = worker
  let heard = false
  port.onmessage = ({ data }: MessageEvent<ToTab>) => {
    heard = true
    take(data)
  }
  worker.onerror = () => {
    if (heard) return
    port.close()
    sharing = false
    alone(url)
  }
  const lock = `ellie-tab-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
  const hello = (): void => port.postMessage({ kind: 'hello', url, token: token.peek(), lock } satisfies FromTab)
  send = (message) => port.postMessage(message)
  sharing = true
  const { locks } = navigator as Navigator & { locks?: LockManager }
  if (locks) {
    // Held until the tab ends; the worker waits for it.
    void locks.request(lock, () => {
      hello()
      return new Promise<never>(() => {})
    })
  } else {
    hello()
    window.addEventListener('pagehide', () => port.postMessage({ kind: 'bye' } satisfies FromTab))
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) window.location.reload()
    })
  }
  return true
}

function alone(url: string): void {
  const stream = new Stream(url, (messages) => take({ kind: 'messages', messages }), (value) => take({ kind: 'link', link: value }))
  stream.setToken(token.peek())
  send = (message) => {
    if (message.kind === 'token') stream.setToken(message.token)
    else if (message.kind === 'retry') stream.retry()
  }
  stream.start()
}

function take(message: ToTab): void {
  if (message.kind === 'link') {
    link.value = message.link
    return
  }
  link.value = { ...link.peek(), heard: Date.now() }
  receive(message.messages)
}

async function loadHistory(): Promise<void> {
  try {
    const history = await get<History>('ui/history')
    fillHistory(history)
    setEvents(history.events ?? [])
  } catch {
    // The stream tells whether the server is there; the next snapshot tries again.
  }
}
