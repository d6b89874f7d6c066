/** All services, or all instances: any number of them, searched, filtered and sorted. */
import { useMemo, useRef } from 'preact/hooks'
import { count, int, latency, percent, rate } from '../lib/format'
import { filter, refine, to } from '../lib/router'
import { Sorted, matcher, natural } from '../lib/sorted'
import { EJECTED, SICK } from '../lib/types'
import { choose } from '../parts/act'
import { Ago, Empty, Filter, Head, InstanceLink, Segments, ServiceLink, Split, State } from '../parts/bits'
import { Spark } from '../parts/spark'
import { type Column, More, type Sorting, Table, sortingOf } from '../parts/table'
import { actsOf } from '../state/acts'
import { loaded, track } from '../state/history'
import { type Row, type Svc, members, rev, services, tick, tickNo, tickOf } from '../state/store'
import { breakerWord, instanceWord, statusWord, strategyName } from '../state/words'

export function Services() {
  const instances = filter('view') === 'instances'
  return instances ? <InstanceView /> : <ServiceView />
}

const VIEWS = [
  { value: '', label: 'Services' },
  { value: 'instances', label: 'Instances' },
]

function Tools({ placeholder, states }: { placeholder: string; states: { value: string; label: string; count?: number }[] }) {
  return (
    <div class="tools">
      <Segments label="View" choices={VIEWS} value={filter('view')} onChange={(view) => refine({ view, sort: undefined, status: undefined })} />
      <Filter label="Filter" placeholder={placeholder} value={filter('q')} onChange={(q) => refine({ q })} />
      <Segments label="Status" choices={states} value={filter('status')} onChange={(status) => refine({ status })} />
    </div>
  )
}

/* Services */

const statusRank = { unhealthy: 0, degraded: 1, healthy: 2 } as const
const rpsOf = (service: Svc): number => tick.peek()?.services?.[service.name]?.rps ?? 0
const errorsOf = (service: Svc): number => tick.peek()?.services?.[service.name]?.errors ?? 0
const p95Of = (service: Svc): number => tick.peek()?.services?.[service.name]?.p95 ?? -1
const rankOf = (service: Svc): number => statusRank[service.wire.status ?? 'healthy'] * 10 - ((service.wire.routable ?? 0) === 0 ? 5 : 0)

const SERVICE_ORDER: Record<string, (a: Svc, b: Svc) => number> = {
  name: (a, b) => natural(a.name, b.name),
  status: (a, b) => rankOf(a) - rankOf(b) || natural(a.name, b.name),
  instances: (a, b) => a.total - b.total || natural(a.name, b.name),
  rps: (a, b) => rpsOf(a) - rpsOf(b) || natural(b.name, a.name),
  errors: (a, b) => errorsOf(a) - errorsOf(b) || rpsOf(a) - rpsOf(b) || natural(b.name, a.name),
  p95: (a, b) => p95Of(a) - p95Of(b) || natural(b.name, a.name),
}

function breakerOf(service: Svc) {
  const breaker = tick.value?.breakers?.[service.name]
  return breakerWord(breaker?.state ?? 'closed', breaker?.forced)
}

/** Who is well but kept from traffic by an operator counts as held back. */
function splitOf(service: Svc) {
  const { healthy = 0, degraded = 0, unhealthy = 0, routable = 0 } = service.wire
  const well = Math.min(healthy, routable)
  return { healthy: well, degraded, unhealthy, held: Math.max(0, service.total - well - degraded - unhealthy) }
}

const SERVICE_COLUMNS: Column<Svc>[] = [
  { id: 'name', label: 'Service', width: 'minmax(150px, 1.6fr)', cell: (s) => <ServiceLink name={s.name} /> },
  { id: 'status', label: 'Status', width: '118px', cell: (s) => <State word={statusWord(s.wire.status)} /> },
  {
    id: 'instances',
    label: 'Instances',
    width: 'minmax(130px, 1fr)',
    down: true,
    cell: (s) => (
      <span class="with-split">
        <span class="num" title="that get traffic, of all">{int(s.wire.routable ?? 0)}<span class="dim">/{int(s.total)}</span></span>
        <Split {...splitOf(s)} />
      </span>
    ),
  },
  { id: 'breaker', label: 'Breaker', width: '118px', fixed: true, cell: (s) => <State word={breakerOf(s)} /> },
  { id: 'trend', label: 'Two minutes', width: '120px', fixed: true, wide: true, cell: (s) => <Spark values={track(s.name)?.rps.values() ?? []} width={104} height={20} floor={1} label={`Requests to ${s.name}, two minutes`} /> },
  { id: 'rps', label: 'req/s', width: '76px', end: true, down: true, cell: (s) => <span class="num">{rate(tick.value?.services?.[s.name]?.rps ?? 0)}</span> },
  { id: 'errors', label: 'Errors', width: '76px', end: true, down: true, cell: (s) => <ErrorShare share={tick.value?.services?.[s.name]?.errors} rps={tick.value?.services?.[s.name]?.rps} /> },
  { id: 'p95', label: 'p95', width: '76px', end: true, down: true, cell: (s) => <span class="num">{latency(tick.value?.services?.[s.name]?.p95)}</span> },
  { id: 'strategy', label: 'Strategy', width: '150px', fixed: true, wide: true, cell: (s) => <span class={s.wire.ownStrategy ? '' : 'dim'}>{strategyName(s.wire.strategy)}</span> },
]

export function ErrorShare({ share, rps }: { share: number | undefined; rps: number | undefined }) {
  if (!rps) return <span class="dim">–</span>
  return <span class={`num ${(share ?? 0) >= 0.05 ? 'bad strong' : ''}`}>{percent(share ?? 0)}</span>
}

function ServiceView() {
  const order = useRef(new Sorted<Svc>())
  void loaded.value
  const sorting = sortingOf(filter('sort'), { by: 'name', down: false })
  const compare = SERVICE_ORDER[sorting.by] ?? SERVICE_ORDER['name']
  const moving = ['rps', 'errors', 'p95'].includes(sorting.by) ? tickNo.value : 0
  const [query, status] = [filter('q'), filter('status')]
  const rows = useMemo(() => {
    const sorted = order.current.update(() => services.values(), members.value, direct(compare, sorting))
    const takes = matcher(query)
    return sorted.filter((s) => takes(s.hay) && (!status || s.wire.status === status))
  }, [rev.value, members.value, moving, query, status, sorting.by, sorting.down])
  const counts = { healthy: 0, degraded: 0, unhealthy: 0 }
  for (const service of services.values()) counts[service.wire.status ?? 'healthy']++
  if (services.size === 0) return <None />
  return (
    <div class="page">
      <Head title="Services" sub={rows.length === services.size ? count(services.size, 'service') : `${int(rows.length)} of ${count(services.size, 'service')}`} />
      <Tools
        placeholder="Name"
        states={[
          { value: '', label: 'All' },
          { value: 'healthy', label: 'Healthy', count: counts.healthy },
          { value: 'degraded', label: 'Degraded', count: counts.degraded },
          { value: 'unhealthy', label: 'Unhealthy', count: counts.unhealthy },
        ]}
      />
      <Table
        label="Services"
        rows={rows}
        columns={SERVICE_COLUMNS}
        keyOf={(s) => s.name}
        revOf={(s) => `${s.rev}:${track(s.name) || tick.value?.breakers?.[s.name] ? tickNo.value : ''}`}
        href={(s) => to(['services', s.name])}
        sorting={sorting}
        onSort={(sort) => refine({ sort })}
        toneOf={(s) => (s.wire.status === 'unhealthy' || (s.wire.routable ?? 0) === 0 ? 'row-bad' : '')}
        compact={(s) => (
          <>
            <div class="compact-top">
              <ServiceLink name={s.name} />
              <State word={statusWord(s.wire.status)} />
            </div>
            <div class="compact-sub num">
              {int(s.wire.routable ?? 0)} of {int(s.total)} get traffic · {rate(tick.value?.services?.[s.name]?.rps ?? 0)} req/s · {latency(tick.value?.services?.[s.name]?.p95)}
            </div>
          </>
        )}
        empty={<NoMatch />}
      />
    </div>
  )
}

function direct<T>(compare: ((a: T, b: T) => number) | undefined, sorting: Sorting): (a: T, b: T) => number {
  const by = compare ?? (() => 0)
  return sorting.down ? (a, b) => by(b, a) : by
}

/* Instances */

const value = (row: Row, at: 0 | 1 | 2 | 3): number => (tick.peek()?.instances?.[row.service.name]?.[row.id]?.[at] as number | undefined) ?? -1

const byName = (a: Row, b: Row): number => natural(a.service.name, b.service.name) || natural(a.id, b.id)
const INSTANCE_ORDER: Record<string, (a: Row, b: Row) => number> = {
  id: (a, b) => natural(a.id, b.id) || natural(a.service.name, b.service.name),
  service: byName,
  status: (a, b) => instanceWord(a.inst).rank - instanceWord(b.inst).rank || byName(a, b),
  since: (a, b) => (a.inst.since < b.inst.since ? -1 : a.inst.since > b.inst.since ? 1 : byName(a, b)),
  address: (a, b) => natural(a.address, b.address),
  version: (a, b) => natural(a.inst.version ?? '', b.inst.version ?? '') || byName(a, b),
  rps: (a, b) => value(a, 0) - value(b, 0) || byName(b, a),
  latency: (a, b) => value(a, 2) - value(b, 2) || byName(b, a),
  failing: (a, b) => value(a, 3) - value(b, 3) || byName(b, a),
}

const ID: Column<Row> = { id: 'id', label: 'Instance', width: 'minmax(130px, 1.2fr)', cell: (r) => <InstanceLink service={r.service.name} id={r.id} /> }
const INSTANCE_COLUMNS: Column<Row>[] = [
  ID,
  { id: 'service', label: 'Service', width: 'minmax(90px, 0.9fr)', cell: (r) => <ServiceLink name={r.service.name} /> },
  { id: 'status', label: 'Status', width: '134px', cell: (r) => <State word={instanceWord(r.inst)} /> },
  { id: 'since', label: 'Since', width: '72px', end: true, cell: (r) => <span class="num dim"><Ago at={r.inst.since} plain /></span> },
  { id: 'reason', label: 'Why', width: 'minmax(120px, 2fr)', fixed: true, wide: true, cell: (r) => <span class="dim clip" title={whyOf(r)}>{shortly(r, whyOf(r))}</span> },
  { id: 'address', label: 'Address', width: 'minmax(136px, 0.7fr)', cell: (r) => <span class="mono clip">{r.address}</span> },
  { id: 'version', label: 'Version', width: '62px', wide: true, cell: (r) => <span class="clip">{r.inst.version ?? '–'}</span> },
  { id: 'rps', label: 'req/s', width: '58px', end: true, down: true, cell: (r) => <span class="num">{rate(tickOf(r)?.[0] ?? 0)}</span> },
  { id: 'latency', label: 'Latency', width: '70px', end: true, down: true, title: 'moving average of response times', cell: (r) => <span class="num">{latency(tickOf(r)?.[2])}</span> },
  { id: 'failing', label: 'Failing', width: '66px', end: true, down: true, title: 'moving average of failures', cell: (r) => <Failing row={r} /> },
  { id: 'acts', label: '', width: '28px', fixed: true, cell: (r) => <More label={`Act on ${r.id}`} onClick={() => choose(r.id, actsOf(r))} /> },
]

function Failing({ row }: { row: Row }) {
  const t = tickOf(row)
  if (!t) return <span class="dim">–</span>
  return <span class={`num ${t[3] >= 0.05 ? 'bad strong' : ''}`}>{percent(t[3])}</span>
}

/** Why an instance is in its state: the operator's words before the check's. */
export function whyOf(row: Row): string {
  const o = row.inst.operator
  const mark = o?.maintenance ?? o?.draining
  const flags = tickOf(row)?.[6] ?? 0
  if (mark) return `by ${mark.by}${mark.reason ? `: ${mark.reason}` : ''}`
  if (flags & EJECTED) return 'ejected after failures in a row'
  if (flags & SICK) return 'passed over by the balancer: slow or failing'
  return row.inst.reason
}

/** The reason without what was asked, which is the instance itself: its address stands beside it, the whole is in the tip. */
export function shortly(row: Row, text: string): string {
  return text.replace(/ from [A-Z]+ https?:\/\/\S+/, '').replace(` (${row.address})`, '')
}

export function InstanceCompact({ row, service }: { row: Row; service?: boolean }) {
  return (
    <>
      <div class="compact-top">
        <InstanceLink service={row.service.name} id={row.id} />
        <State word={instanceWord(row.inst)} />
      </div>
      <div class="compact-sub num clip">
        {service ? `${row.service.name} · ` : ''}
        {row.address} · {rate(tickOf(row)?.[0] ?? 0)} req/s · {latency(tickOf(row)?.[2])}
      </div>
    </>
  )
}

function allRows(): Iterable<Row> {
  return [...services.values()].flatMap((service) => [...service.rows.values()])
}

function InstanceView() {
  const order = useRef(new Sorted<Row>())
  const sorting = sortingOf(filter('sort'), { by: 'service', down: false })
  const compare = INSTANCE_ORDER[sorting.by] ?? byName
  const moving = ['rps', 'latency', 'failing'].includes(sorting.by) ? tickNo.value : 0
  const [query, status] = [filter('q'), filter('status')]
  const { rows, counts, all } = useMemo(() => {
    const sorted = order.current.update(allRows, members.value, direct(compare, sorting))
    const takes = matcher(query)
    const counts: Record<string, number> = {}
    const rows = sorted.filter((row) => {
      const { tone } = instanceWord(row.inst)
      counts[tone] = (counts[tone] ?? 0) + 1
      return (!status || tone === status) && takes(row.hay)
    })
    return { rows, counts, all: sorted.length }
  }, [rev.value, members.value, moving, query, status, sorting.by, sorting.down])
  if (services.size === 0) return <None />
  return (
    <div class="page">
      <Head title="Instances" sub={rows.length === all ? count(all, 'instance') : `${int(rows.length)} of ${count(all, 'instance')}`} />
      <Tools
        placeholder="Id, service, address, tag, zone"
        states={[
          { value: '', label: 'All' },
          { value: 'ok', label: 'Healthy', count: counts['ok'] ?? 0 },
          { value: 'warn', label: 'Degraded', count: counts['warn'] ?? 0 },
          { value: 'bad', label: 'Unhealthy', count: counts['bad'] ?? 0 },
          { value: 'hold', label: 'Held back', count: counts['hold'] ?? 0 },
          ...(counts['idle'] ? [{ value: 'idle', label: 'Awaiting', count: counts['idle'] }] : []),
        ]}
      />
      <Table
        label="Instances"
        rows={rows}
        columns={INSTANCE_COLUMNS}
        keyOf={(r) => `${r.service.name}/${r.id}`}
        revOf={(r) => `${r.rev}:${tick.value?.instances?.[r.service.name]?.[r.id] ? tickNo.value : ''}`}
        href={(r) => to(['services', r.service.name, r.id])}
        sorting={sorting}
        onSort={(sort) => refine({ sort })}
        toneOf={(r) => (instanceWord(r.inst).tone === 'bad' ? 'row-bad' : '')}
        compact={(r) => <InstanceCompact row={r} service />}
        empty={<NoMatch />}
      />
    </div>
  )
}

function NoMatch() {
  return (
    <div class="no-match">
      <p>Nothing matches the filter.</p>
      <button type="button" class="button" onClick={() => refine({ q: undefined, status: undefined })}>Show all</button>
    </div>
  )
}

function None() {
  return (
    <div class="page">
      <Head title="Services" />
      <Empty title="Nothing is registered" commands={['ellie register users --port 3001 --health /health', 'ellie run --name users --health /health -- ./server']}>
        Register an instance, or start a program that is registered for as long as it lives.
      </Empty>
    </div>
  )
}
