/** The journal: what, when, who and why. */
import { useEffect, useMemo } from 'preact/hooks'
import { count, int, moment } from '../lib/format'
import { filter, refine, to } from '../lib/router'
import { get } from '../lib/api'
import { matcher } from '../lib/sorted'
import type { JournalEvent } from '../lib/types'
import { Filter, Head } from '../parts/bits'
import { Icon } from '../parts/icon'
import { Strip } from '../parts/strip'
import { type Column, Table } from '../parts/table'
import { epoch, events, now, setEvents } from '../state/store'
import { eventPath, eventWord } from '../state/words'

const COLUMNS: Column<JournalEvent>[] = [
  { id: 'at', label: 'When', width: '132px', fixed: true, cell: (e) => <time class="num dim" dateTime={e.at}>{moment(Date.parse(e.at), now.peek())}</time> },
  { id: 'kind', label: 'What', width: '150px', fixed: true, cell: (e) => { const w = eventWord(e.kind, e.message); return <span class={`state ${w.tone}`}><Icon name={w.icon} size={14} />{w.word}</span> } },
  { id: 'who', label: 'About', width: 'minmax(120px, .8fr)', fixed: true, cell: (e) => <About event={e} /> },
  { id: 'message', label: 'Why', width: 'minmax(200px, 3fr)', fixed: true, cell: (e) => <span class="clip" title={e.message}>{e.message}</span> },
  { id: 'actor', label: 'Who', width: '120px', fixed: true, cell: (e) => <span class="dim clip">{e.actor}</span> },
]

function About({ event }: { event: JournalEvent }) {
  if (!event.service) return <span class="dim">ellie</span>
  return <a class="name" href={to(eventPath(event))}>{event.instance ?? event.service}</a>
}

export default function Events() {
  const [query, kind, service, actor, at] = [filter('q'), filter('kind'), filter('service'), filter('actor'), filter('at')]
  useEffect(() => {
    // The stream brings what is new, this what was before: all that the journal keeps.
    get<{ events: JournalEvent[] }>('events?last=4096').then((list) => setEvents(list.events), () => {})
  }, [epoch.value])
  const all = events.value
  const rows = useMemo(() => {
    const takes = matcher(query)
    const from = at ? Date.parse(at) : 0
    const end = at ? from + 15_000 : Number.POSITIVE_INFINITY
    return all.filter((e) => (!kind || e.kind === kind) && (!service || e.service === service) && (!actor || e.actor === actor) && (!at || (Date.parse(e.at) >= from && Date.parse(e.at) < end)) && takes(`${e.kind} ${e.service ?? ''} ${e.instance ?? ''} ${e.actor} ${e.message}`.toLowerCase())).reverse()
  }, [all, query, kind, service, actor, at])
  const kinds = useMemo(() => [...new Set(all.map((e) => e.kind))].sort(), [all])
  const actors = useMemo(() => [...new Set(all.map((e) => e.actor))].sort(), [all])
  const names = useMemo(() => [...new Set(all.flatMap((e) => (e.service ? [e.service] : [])))].sort(), [all])
  const choice = (name: string, label: string, value: string, list: string[]) => (
    <select class="select" aria-label={label} value={value} onChange={(event) => refine({ [name]: event.currentTarget.value })}>
      <option value="">{label}: all</option>
      {(value && !list.includes(value) ? [value, ...list] : list).map((item) => <option key={item} value={item}>{item}</option>)}
    </select>
  )
  return (
    <div class="page">
      <Head title="Events" sub={rows.length === all.length ? count(all.length, 'event') : `${int(rows.length)} of ${count(all.length, 'event')}`} />
      <Strip {...(service ? { service } : {})} />
      <div class="tools">
        <Filter label="Filter events" placeholder="Text" value={query} onChange={(q) => refine({ q })} />
        {choice('kind', 'What', kind, kinds)}
        {choice('service', 'Service', service, names)}
        {choice('actor', 'Who', actor, actors)}
        {at && <button type="button" class="button" onClick={() => refine({ at: undefined })}><Icon name="close" size={12} /> 15 s from {moment(Date.parse(at), now.peek())}</button>}
      </div>
      <Table label="Events" rows={rows} columns={COLUMNS} keyOf={(e) => String(e.id)} revOf={(e) => e.id} compact={(e) => {
        const w = eventWord(e.kind, e.message)
        return <><div class="compact-top"><span class={`state ${w.tone}`}><Icon name={w.icon} size={14} />{w.word}</span><span class="dim num">{moment(Date.parse(e.at), now.peek())}</span></div><div class="clip"><About event={e} /> {e.message}</div></>
      }} empty={<div class="no-match"><p>No event matches.</p><button type="button" class="button" onClick={() => refine({ q: undefined, kind: undefined, service: undefined, actor: undefined, at: undefined })}>Show all</button></div>} />
    </div>
  )
}
