/** The shared worker: one connection for all tabs of this browser. It parses, keeps the state for tabs that open later, and hands on. */
import type { Message } from '../lib/sse'
import type { Delta, Snapshot } from '../lib/types'
import { merge } from './merge'
import { type Link, Stream } from './stream'

/** From a tab. */
export type FromTab = { kind: 'hello'; url: string; token: string; lock: string } | { kind: 'token'; token: string } | { kind: 'retry' } | { kind: 'bye' }
/** To a tab: `data` is JSON, which is cheaper to hand over than objects. */
export type ToTab = { kind: 'messages'; messages: Message[] } | { kind: 'link'; link: Link }

interface SharedScope {
  onconnect: ((event: MessageEvent) => void) | null
}

const tabs = new Set<MessagePort>()
let stream: Stream | null = null
let state: Snapshot | null = null
let lastTick: Message | null = null

function tell(message: ToTab): void {
  for (const tab of tabs) tab.postMessage(message)
}

function take(messages: Message[]): void {
  for (const message of messages) {
    if (message.event === 'snapshot') state = JSON.parse(message.data) as Snapshot
    else if (message.event === 'delta' && state) merge(state, JSON.parse(message.data) as Delta)
    else if (message.event === 'tick') lastTick = message
  }
  tell({ kind: 'messages', messages })
}

function leave(tab: MessagePort): void {
  tabs.delete(tab)
  tab.close()
  if (tabs.size > 0) return
  // Nobody looks: the connection ends. A tab that comes back starts a fresh one.
  stream?.stop()
  stream = null
  state = null
  lastTick = null
}

function greet(tab: MessagePort, hello: Extract<FromTab, { kind: 'hello' }>): void {
  tabs.add(tab)
  // The lock is the tab's for as long as it lives, however it ends.
  void (navigator as Navigator & { locks?: LockManager }).locks?.request(hello.lock, () => leave(tab))
  if (!stream) {
    stream = new Stream(hello.url, take, (link) => tell({ kind: 'link', link }))
    stream.setToken(hello.token)
    stream.start()
    return
  }
  if (hello.token) stream.setToken(hello.token)
  tab.postMessage({ kind: 'link', link: stream.link } satisfies ToTab)
  if (!state) return
  const messages: Message[] = [{ event: 'snapshot', data: JSON.stringify(state), id: '' }]
  if (lastTick) messages.push(lastTick)
  tab.postMessage({ kind: 'messages', messages } satisfies ToTab)
}

;(globalThis as unknown as SharedScope).onconnect = (event) => {
  const tab = event.ports[0]
  if (!tab) return
  tab.onmessage = ({ data }: MessageEvent<FromTab>) => {
    if (data.kind === 'hello') greet(tab, data)
    else if (data.kind === 'token') stream?.setToken(data.token)
    else if (data.kind === 'retry') stream?.retry()
    else leave(tab)
  }
}
