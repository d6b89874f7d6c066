/** A parser of `text/event-stream` for streams read with `fetch`, which can carry a token in a header. */

export interface Message {
  event: string
  data: string
  id: string
}

/** Takes text as it comes, cut anywhere, and gives whole messages. */
export class EventParser {
  /** Pieces of a line whose end is not there yet: joined once, when it comes (a snapshot is one line of megabytes). */
  #pieces: string[] = []
  #event = ''
  #data: string[] = []
  /** The id that a reconnect sends back. */
  lastId = ''

  push(chunk: string): Message[] {
    const messages: Message[] = []
    let from = 0
    for (;;) {
      const end = chunk.indexOf('\n', from)
      if (end < 0) break
      let line = chunk.slice(from, end)
      if (this.#pieces.length) {
        line = this.#pieces.join('') + line
        this.#pieces = []
      }
      from = end + 1
      const message = this.#line(line.endsWith('\r') ? line.slice(0, -1) : line)
      if (message) messages.push(message)
    }
    if (from < chunk.length) this.#pieces.push(chunk.slice(from))
    return messages
  }

  #line(line: string): Message | null {
    if (line === '') {
      const message = this.#data.length ? { event: this.#event || 'message', data: this.#data.join('\n'), id: this.lastId } : null
      this.#event = ''
      this.#data = []
      return message
    }
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1)
    if (field === 'data') this.#data.push(value)
    else if (field === 'event') this.#event = value
    else if (field === 'id' && !value.includes('\0')) this.lastId = value
    return null
  }
}
