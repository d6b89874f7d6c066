/** Half an hour of events on a line: when it was quiet, and when it was not. */
import { clock, count } from '../lib/format'
import { to } from '../lib/router'
import type { JournalEvent } from '../lib/types'
import { events, now } from '../state/store'
import { eventPath, eventWord, type Tone } from '../state/words'
import { Icon } from './icon'

const SPAN = 30 * 60_000
const BINS = 120
const ORDER: Tone[] = ['bad', 'warn', 'hold', 'ok', 'info', 'idle']

interface Bin {
  from: number
  tones: Map<Tone, number>
  events: JournalEvent[]
}

export function Strip({ service }: { service?: string }) {
  // It moves with whole bins, so that it does not crawl.
  const width = SPAN / BINS
  const end = Math.ceil(now.value / width) * width
  const start = end - SPAN
  const bins: Bin[] = Array.from({ length: BINS }, (_, i) => ({ from: start + i * width, tones: new Map<Tone, number>(), events: [] }))
  let shown = 0
  for (const event of events.value) {
    if (service !== undefined && event.service !== service) continue
    const bin = bins[Math.floor((Date.parse(event.at) - start) / width)]
    if (!bin) continue
    const { tone } = eventWord(event.kind, event.message)
    bin.tones.set(tone, (bin.tones.get(tone) ?? 0) + 1)
    bin.events.push(event)
    shown++
  }
  const most = Math.max(4, ...bins.map((bin) => bin.events.length))
  return (
    <section class="strip" aria-label={`Events of the last 30 minutes: ${shown}`}>
      <div class="strip-bins">
        {bins.map((bin, i) => (
          <a
            key={i}
            class="strip-bin"
            href={to(['events'], { at: new Date(bin.from).toISOString(), service })}
            title={bin.events.length ? tip(bin) : undefined}
            tabIndex={bin.events.length ? 0 : -1}
            aria-hidden={bin.events.length ? undefined : true}
            aria-label={bin.events.length ? `${clock(bin.from)}: ${count(bin.events.length, 'event')}` : undefined}
          >
            {ORDER.map((tone) => {
              const n = bin.tones.get(tone)
              return n ? <span key={tone} class={`strip-part ${tone}`} style={{ height: `${(n / bin.events.length) * Math.sqrt(bin.events.length / most) * 40}px` }} /> : null
            })}
          </a>
        ))}
      </div>
      <div class="strip-axis num" aria-hidden="true">
        <span>30 min ago</span>
        <span>20</span>
        <span>10</span>
        <span>now</span>
      </div>
    </section>
  )
}

function tip(bin: Bin): string {
  const lines = bin.events.slice(-6).map((event) => `${clock(Date.parse(event.at))}  ${event.instance ?? event.service ?? ''} ${event.message}`)
  const more = bin.events.length - lines.length
  return more > 0 ? `${lines.join('\n')}\n… and ${more} before` : lines.join('\n')
}

/** One event in a list. */
export function EventLine({ event, bare }: { event: JournalEvent; bare?: boolean }) {
  const word = eventWord(event.kind, event.message)
  return (
    <div class="event">
      <time class="num dim" dateTime={event.at}>{clock(Date.parse(event.at))}</time>
      <span class={`event-sign ${word.tone}`} title={word.word}>
        <Icon name={word.icon} size={14} label={word.word} />
      </span>
      <span class="event-text">
        {!bare && event.service && <a class="name" href={to(eventPath(event))}>{event.instance ?? event.service}</a>} {event.message}
      </span>
      <span class="dim event-actor">{event.actor}</span>
    </div>
  )
}
