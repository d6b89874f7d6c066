/** Every breaker: the size is traffic, the colour is health, the line is two minutes. */
import { computed } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import { count, duration, int, percent, rate, span } from '../lib/format'
import { filter, refine, to } from '../lib/router'
import { matcher, natural } from '../lib/sorted'
import type { BreakerTick } from '../lib/types'
import { choose } from '../parts/act'
import { Empty, Filter, Head, Segments, ServiceLink, State } from '../parts/bits'
import { Spark } from '../parts/spark'
import { type Column, More, Table, sortingOf } from '../parts/table'
import { breakerActs } from '../state/acts'
import { loaded, track } from '../state/history'
import { breakerConfig, events, now, rev, services, tick, tickNo } from '../state/store'
import { breakerWord, causeWord, type Tone } from '../state/words'

interface Item {
  name: string
  breaker: BreakerTick
  rps: number
  errors: number
  rank: number
}

const CLOSED: BreakerTick = { state: 'closed', failures: 0, calls: 0, failureRate: 0 }

function items(): Item[] {
  const names = new Set([...services.keys(), ...Object.keys(tick.value?.breakers ?? {})])
  return [...names].map((name) => {
    const breaker = tick.value?.breakers?.[name] ?? CLOSED
    const live = tick.value?.services?.[name]
    return { name, breaker, rps: live?.rps ?? 0, errors: live?.errors ?? 0, rank: breakerWord(breaker.state, breaker.forced).rank }
  })
}

/** A disc whose area grows with the traffic; its colour and pattern tell the state, and the word beside it says it. */
function Disc({ item }: { item: Item }) {
  const r = item.rps <= 0 ? 2.5 : Math.min(15, 3 + Math.sqrt(item.rps) * 0.85)
  const word = breakerWord(item.breaker.state, item.breaker.forced)
  const tone: Tone = word.tone === 'ok' && item.errors >= 0.05 ? 'warn' : word.tone
  return (
    <svg width="32" height="32" viewBox="-16 -16 32 32" class={`disc ${tone}`} role="img" aria-label={`${rate(item.rps)} requests a second, ${percent(item.errors)} errors`}>
      <circle r={r} fill="currentColor" opacity={item.rps > 0 ? 0.28 : 0.5} />
      <circle r={r} fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray={item.breaker.state === 'open' && item.rps > 0 ? '3 2.5' : undefined} />
    </svg>
  )
}

/** Failures in the window against the threshold. */
function Failures({ item }: { item: Item }) {
  const config = item.breaker.config ?? breakerConfig.value
  const threshold = config?.failureThreshold ?? 0
  const part = threshold ? Math.min(1, item.breaker.failures / threshold) : 0
  return (
    <span class="with-split" title={config ? `opens at ${count(threshold, 'failure')} in ${duration(config.monitoringPeriod)} that are at least ${percent(config.minimumFailureRate)} of the calls` : undefined}>
      <span class="num">{int(item.breaker.failures)}<span class="dim">/{threshold || '–'}</span></span>
      <span class="share-bar" aria-hidden="true"><span class={`share-fill ${part >= 1 ? 'bad' : part >= 0.6 ? 'warn' : ''}`} style={{ width: `${part * 100}%` }} /></span>
      <span class="num dim">{percent(item.breaker.failureRate)}</span>
    </span>
  )
}

function Next({ breaker }: { breaker: BreakerTick }) {
  if (breaker.forced) return <span class="num">{breaker.forced.left === undefined ? 'until reset' : `${span(breaker.forced.left)} left`}</span>
  if (breaker.state === 'open') return <span class="num">{breaker.retryIn === undefined ? 'open' : `half-open in ${span(breaker.retryIn)}`}</span>
  if (breaker.state === 'half_open') return <span class="num">{int(breaker.probeSuccesses ?? 0)} of {int((breaker.config ?? breakerConfig.value)?.successThreshold)} probes passed</span>
  return <span class="dim">–</span>
}

/** The last times at which each breaker opened, ms, the newest first. */
const trips = computed(() => {
  const found = new Map<string, number[]>()
  for (let i = events.value.length - 1; i >= 0; i--) {
    const event = events.value[i]
    if (event?.kind !== 'breaker-changed' || !event.service || !/\bto open\b|\bforced open\b/.test(event.message)) continue
    const own = found.get(event.service)
    if (!own) found.set(event.service, [Date.parse(event.at)])
    else if (own.length < 3) own.push(Date.parse(event.at))
  }
  return found
})

function Trips({ item }: { item: Item }) {
  const own = trips.value.get(item.name)
  const t = item.breaker.lastTransition
  const last = t ? `last change ${span(t.ago)} ago, ${t.from.replace('_', '-')} → ${t.to.replace('_', '-')}: ${causeWord(t.cause)}` : undefined
  if (!own?.length) return <span class="dim" title={last}>{item.breaker.opened ? `${int(item.breaker.opened)}, before what the journal keeps` : 'none'}</span>
  return <span class="clip dim num" title={last}>{own.map((at) => span(Math.max(0, now.value - at))).join(', ')} ago</span>
}

const worst = (a: Item, b: Item): number => a.rank - b.rank || Number(b.rps > 0) - Number(a.rps > 0) || natural(a.name, b.name)
const ORDER: Record<string, (a: Item, b: Item) => number> = {
  name: (a, b) => natural(a.name, b.name),
  state: worst,
  failures: (a, b) => a.breaker.failures - b.breaker.failures || worst(b, a),
  rps: (a, b) => a.rps - b.rps || worst(b, a),
  errors: (a, b) => a.errors - b.errors || worst(b, a),
  trips: (a, b) => (a.breaker.opened ?? 0) - (b.breaker.opened ?? 0) || worst(b, a),
}

const COLUMNS: Column<Item>[] = [
  { id: 'disc', label: 'Traffic', width: '44px', fixed: true, cell: (b) => <Disc item={b} /> },
  { id: 'name', label: 'Breaker', width: 'minmax(100px, 1fr)', cell: (b) => <ServiceLink name={b.name} /> },
  { id: 'state', label: 'State', width: '124px', cell: (b) => <State word={breakerWord(b.breaker.state, b.breaker.forced)} /> },
  { id: 'next', label: 'Next', width: '142px', fixed: true, cell: (b) => <Next breaker={b.breaker} /> },
  { id: 'failures', label: 'Failures in the window', width: 'minmax(156px, 1fr)', down: true, cell: (b) => <Failures item={b} /> },
  { id: 'trend', label: 'Two minutes', width: 'minmax(100px, 1fr)', fixed: true, wide: true, cell: (b) => <Trend name={b.name} /> },
  { id: 'rps', label: 'req/s', width: '58px', end: true, down: true, cell: (b) => <span class="num">{rate(b.rps)}</span> },
  { id: 'errors', label: 'Errors', width: '62px', end: true, down: true, cell: (b) => <span class={`num ${b.errors >= 0.05 ? 'bad strong' : ''}`}>{b.rps ? percent(b.errors) : '–'}</span> },
  { id: 'trips', label: 'Trips', width: '46px', end: true, down: true, title: 'how often it has opened', cell: (b) => <span class="num">{int(b.breaker.opened ?? 0)}</span> },
  { id: 'last', label: 'Last trips', width: 'minmax(150px, 1.6fr)', fixed: true, wide: true, title: 'when it opened, of what the journal keeps', cell: (b) => <Trips item={b} /> },
  { id: 'acts', label: '', width: '28px', fixed: true, cell: (b) => <More label={`Act on the breaker ${b.name}`} onClick={() => choose(`Breaker ${b.name}`, breakerActs(b.name))} /> },
]

function Trend({ name }: { name: string }) {
  const t = track(name)
  const rps = t?.rps.values() ?? []
  const failed = t?.errors.values().map((share, i) => share * (rps[i] ?? 0)) ?? []
  const most = Math.max(1, ...rps)
  return (
    <span class="trend">
      <Spark values={rps} height={26} floor={1} label={`Requests to ${name}, two minutes`} />
      <Spark values={failed} height={26} floor={most} tone="bad" label="of which failed" />
    </span>
  )
}

export default function Breakers() {
  void rev.value
  void loaded.value
  void tickNo.value
  const [query, state] = [filter('q'), filter('state')]
  const sorting = sortingOf(filter('sort'), { by: '', down: false })
  const all = items()
  const counts = { open: 0, half_open: 0, closed: 0, forced: 0 }
  for (const item of all) {
    if (item.breaker.forced) counts.forced++
    counts[item.breaker.state]++
  }
  const rows = useMemo(() => {
    const takes = matcher(query)
    const found = all.filter((item) => takes(item.name.toLowerCase()) && (!state || (state === 'forced' ? item.breaker.forced : item.breaker.state === state)))
    const compare = ORDER[sorting.by] ?? worst
    return found.sort(sorting.down ? (a, b) => compare(b, a) : compare)
  }, [tickNo.value, rev.value, query, state, sorting.by, sorting.down])
  const config = breakerConfig.value
  if (!all.length) {
    return (
      <div>
        <Head title="Breakers" />
        <Empty title="No breaker yet" commands={['ellie register users --port 3001', 'ellie breakers']}>A service has a breaker as soon as it is registered.</Empty>
      </div>
    )
  }
  return (
    <div class="page">
      <Head title="Breakers" sub={config ? <span>open at {count(config.failureThreshold, 'failure')} in {duration(config.monitoringPeriod)} (at least {percent(config.minimumFailureRate)} of calls), half-open after {duration(config.recoveryTimeout)}, closed after {count(config.successThreshold, 'success', 'successes')}</span> : null} />
      <div class="tools">
        <Filter label="Filter breakers" placeholder="Name" value={query} onChange={(q) => refine({ q })} />
        <Segments label="State" value={state} onChange={(value) => refine({ state: value })} choices={[{ value: '', label: 'All' }, { value: 'open', label: 'Open', count: counts.open }, { value: 'half_open', label: 'Half-open', count: counts.half_open }, { value: 'closed', label: 'Closed', count: counts.closed }, { value: 'forced', label: 'Forced', count: counts.forced }]} />
      </div>
      <Table label="Breakers" rows={rows} columns={COLUMNS} rowHeight={42} keyOf={(b) => b.name} revOf={() => tickNo.value} href={(b) => to(['services', b.name])} sorting={sorting} onSort={(sort) => refine({ sort })} toneOf={(b) => (b.breaker.state === 'open' ? 'row-bad' : '')} compactHeight={84} compact={(b) => <><div class="compact-top"><ServiceLink name={b.name} /><State word={breakerWord(b.breaker.state, b.breaker.forced)} /><More label={`Act on the breaker ${b.name}`} onClick={() => choose(`Breaker ${b.name}`, breakerActs(b.name))} /></div><Failures item={b} /><div class="compact-sub num">{rate(b.rps)} req/s · <Next breaker={b.breaker} /></div></>} empty={<p class="no-match">No breaker matches.</p>} />
    </div>
  )
}
