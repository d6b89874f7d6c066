/** The connection to the server: one that comes back by itself and says honestly when it is away. */
import { EventParser, type Message } from '../lib/sse'

export type LinkState = 'connecting' | 'live' | 'lost' | 'locked'

export interface Link {
  state: LinkState
  /** When the last word came from the server, ms; 0 before the first. */
  heard: number
  /** When the next try is due, ms, while `lost`. */
  retryAt: number
  /** Why it is not live. */
  why: string
}

export const NEVER: Link = { state: 'connecting', heard: 0, retryAt: 0, why: '' }

/** Ticks come each second; after this long without a byte the connection is given up. */
const SILENCE = 12_000
const FIRST_RETRY = 500
const LAST_RETRY = 5_000

export class Stream {
  #url: string
  #token = ''
  #onMessages: (messages: Message[]) => void
  #onLink: (link: Link) => void
  #link: Link = NEVER
  #abort: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #tries = 0
  #lastId = ''
  #running = false

  constructor(url: string, onMessages: (messages: Message[]) => void, onLink: (link: Link) => void) {
    this.#url = url
    this.#onMessages = onMessages
    this.#onLink = onLink
  }

  get link(): Link {
    return this.#link
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    void this.#connect()
  }

  stop(): void {
    this.#running = false
    clearTimeout(this.#timer)
    this.#abort?.abort()
  }

  /** A token that is new is tried at once, where the last word was that one is needed. */
  setToken(token: string): void {
    if (token === this.#token) return
    this.#token = token
    if (this.#link.state !== 'live') this.retry()
  }

  /** Does not wait for the next try. */
  retry(): void {
    if (!this.#running || this.#link.state === 'live') return
    clearTimeout(this.#timer)
    this.#abort?.abort()
    this.#tries = 0
    void this.#connect()
  }

  #say(change: Partial<Link>): void {
    this.#link = { ...this.#link, ...change }
    this.#onLink(this.#link)
  }

  async #connect(): Promise<void> {
    const abort = new AbortController()
    this.#abort = abort
    const headers: Record<string, string> = { accept: 'text/event-stream' }
    if (this.#token) headers['authorization'] = `Bearer ${this.#token}`
    if (this.#lastId) headers['last-event-id'] = this.#lastId
    let why = 'the connection was closed'
    try {
      const answer = await this.#within(abort, fetch(this.#url, { headers, signal: abort.signal, cache: 'no-store', credentials: 'same-origin' }))
      if (answer.status === 401 || answer.status === 403) {
        this.#say({ state: 'locked', why: 'reading needs a token', retryAt: 0 })
        void answer.body?.cancel()
        return
      }
      if (!answer.ok || !answer.body) throw new Error(`the server answered ${answer.status}`)
      await this.#read(answer.body, abort)
    } catch (error) {
      why = abort.signal.reason instanceof Error && abort.signal.reason.name === 'Silence'
        ? abort.signal.reason.message
        : error instanceof TypeError ? 'the server can’t be reached' : error instanceof Error ? error.message : String(error)
    }
    // Another attempt has taken over, or nobody wants one.
    if (this.#abort !== abort || !this.#running) return
    const wait = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** this.#tries++) * (0.75 + Math.random() / 2)
    this.#say({ state: 'lost', why, retryAt: Date.now() + wait })
    this.#timer = setTimeout(() => void this.#connect(), wait)
  }

  async #read(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const reader = body.getReader()
    const decoder = new TextDecoder()
    const parser = new EventParser()
    parser.lastId = this.#lastId
    for (;;) {
      const { done, value } = await this.#within(abort, reader.read())
      if (done) return
      const messages = parser.push(decoder.decode(value, { stream: true }))
      const live = messages.length > 0
      this.#link = { ...this.#link, heard: Date.now() }
      if (live && this.#link.state !== 'live') {
        this.#tries = 0
        this.#say({ state: 'live', why: '', retryAt: 0 })
      }
      if (live) this.#onMessages(messages)
      this.#lastId = parser.lastId
    }
  }

  /** Fails when nothing comes for too long. */
  async #within<T>(abort: AbortController, work: Promise<T>): Promise<T> {
    const watch = setTimeout(() => {
      const silence = new Error(`no word from the server for ${SILENCE / 1000} s`)
      silence.name = 'Silence'
      abort.abort(silence)
    }, SILENCE)
    try {
      return await work
    } finally {
      clearTimeout(watch)
    }
  }
}
