/** Who gets which part of the traffic, and who was meant to. */
import { useMemo } from 'preact/hooks'
import { int, latency, percent, rate } from '../lib/format'
import { filter, refine, to } from '../lib/router'
import { matcher, natural } from '../lib/sorted'
import { EJECTED, RAMPING, SICK } from '../lib/types'
import { ActButtons, choose } from '../parts/act'
import { Empty, Filter, Head, InstanceLink, ShareBar, State } from '../parts/bits'
import { Icon } from '../parts/icon'
import { type Column, More, Table, sortingOf } from '../parts/table'
import { actsOf, strategy } from '../state/acts'
import { type Row, mode, rev, services, tick, tickNo, tickOf } from '../state/store'
import { STRATEGIES, instanceWord, strategyName } from '../state/words'
import { InstanceCompact } from './services'

function Flags({ row }: { row: Row }) {
  const flags = tickOf(row)?.[6] ?? 0
  if (row.inst.standing !== 'routable') return <State word={instanceWord(row.inst)} />
  if (flags & EJECTED) return <span class="state warn"><Icon name="eject" size={14} />ejected</span>
  if (flags & SICK) return <span class="state warn" title="slow or failing: it gets trials only"><Icon name="slow" size={14} />trials only</span>
  if (flags & RAMPING) return <span class="state info" title="it joined a moment ago"><Icon name="clock" size={14} />slow start</span>
  return <State word={instanceWord(row.inst)} />
}

const at = (row: Row, i: 0 | 1 | 2 | 3 | 4 | 5): number => (tick.peek()?.instances?.[row.service.name]?.[row.id]?.[i] as number | undefined) ?? -1
const byId = (a: Row, b: Row): number => natural(a.id, b.id)
const ORDER: Record<string, (a: Row, b: Row) => number> = {
  id: byId,
  state: (a, b) => instanceWord(a.inst).rank - instanceWord(b.inst).rank || at(b, 5) - at(a, 5) || byId(a, b),
  weight: (a, b) => a.inst.weight - b.inst.weight || byId(a, b),
  intended: (a, b) => at(a, 5) - at(b, 5) || byId(b, a),
  share: (a, b) => at(a, 4) - at(b, 4) || byId(b, a),
  rps: (a, b) => at(a, 0) - at(b, 0) || byId(b, a),
  flight: (a, b) => at(a, 1) - at(b, 1) || byId(b, a),
  ewma: (a, b) => at(a, 2) - at(b, 2) || byId(b, a),
  failing: (a, b) => at(a, 3) - at(b, 3) || byId(b, a),
}

/** The balancer's intent; before any traffic every strategy goes by weight. */
function intended(row: Row): number {
  const told = tickOf(row)?.[5]
  if (told !== undefined && told !== null) return told
  const takes = (r: Row): number => (r.inst.standing === 'routable' ? r.inst.weight : 0)
  let sum = 0
  for (const r of row.service.rows.values()) sum += takes(r)
  return sum ? takes(row) / sum : 0
}

const COLUMNS: Column<Row>[] = [
  { id: 'id', label: 'Instance', width: 'minmax(92px, 1fr)', cell: (r) => <InstanceLink service={r.service.name} id={r.id} /> },
  { id: 'state', label: 'State', width: '108px', cell: (r) => <Flags row={r} /> },
  { id: 'weight', label: 'Weight', width: '56px', end: true, down: true, cell: (r) => <span class="num">{r.inst.weight}</span> },
  { id: 'intended', label: 'Intended', width: '70px', end: true, down: true, cell: (r) => <span class="num">{percent(intended(r))}</span> },
  { id: 'share', label: 'Actual, of 10 s', width: 'minmax(90px, 1.6fr)', down: true, title: 'the mark is the intended share', cell: (r) => <ShareBar share={tickOf(r)?.[4] ?? 0} expected={intended(r)} tone={(tickOf(r)?.[6] ?? 0) & (SICK | EJECTED) ? 'warn' : ''} /> },
  { id: 'rps', label: 'req/s', width: '60px', end: true, down: true, cell: (r) => <span class="num">{rate(tickOf(r)?.[0] ?? 0)}</span> },
  { id: 'flight', label: 'In flight', width: '66px', end: true, down: true, cell: (r) => <span class="num">{int(tickOf(r)?.[1] ?? 0)}</span> },
  { id: 'ewma', label: 'EWMA', width: '64px', end: true, down: true, title: 'moving average of response times', cell: (r) => <span class="num">{latency(tickOf(r)?.[2])}</span> },
  { id: 'failing', label: 'Failing', width: '66px', end: true, down: true, cell: (r) => <span class={`num ${(tickOf(r)?.[3] ?? 0) >= 0.05 ? 'bad strong' : ''}`}>{percent(tickOf(r)?.[3])}</span> },
  { id: 'acts', label: '', width: '28px', fixed: true, cell: (r) => <More label={`Act on ${r.id}`} onClick={() => choose(r.id, actsOf(r))} /> },
]

export default function Balancer() {
  void rev.value
  void tickNo.value
  const query = filter('q')
  const takes = matcher(query)
  const names = [...services.values()].filter((s) => takes(s.hay)).map((s) => s.name).sort(natural)
  const busiest = [...names].sort((a, b) => (tick.value?.services?.[b]?.rps ?? 0) - (tick.value?.services?.[a]?.rps ?? 0))[0]
  // The choice stays until another is made, however the traffic moves.
  const first = useMemo(() => busiest, [names.length > 0])
  const chosen = filter('service') || first || ''
  const service = services.get(chosen)
  const sorting = sortingOf(filter('sort'), { by: 'id', down: false })
  const compare = ORDER[sorting.by] ?? byId
  const rows = useMemo(() => [...(service?.rows.values() ?? [])].sort(sorting.down ? (a, b) => compare(b, a) : compare), [service, rev.value, tickNo.value, sorting.by, sorting.down])
  if (services.size === 0) {
    return (
      <div>
        <Head title="Load balancer" />
        <Empty title="Nothing to balance yet" commands={['ellie register users --port 3001 --health /health', 'ellie strategy least_connections']}>The strategy is {strategyName(mode.value.strategy)}. Shares show here as soon as a service has instances.</Empty>
      </div>
    )
  }
  return (
    <div class="page">
      <Head title="Load balancer" sub={<span>{strategyName(mode.value.strategy)} for all without a strategy of their own</span>}>
        <ActButtons acts={[{ ...strategy(null), verb: 'Switch for all' }]} />
      </Head>
      <div class="split-view">
        <div class="pick">
          <Filter label="Filter services" placeholder="Service" value={query} onChange={(q) => refine({ q })} />
          <ul>
            {names.slice(0, 300).map((name) => (
              <li key={name}>
                <a href={to(['balancer'], { service: name, q: query })} aria-current={name === chosen ? 'true' : undefined}>
                  <span class="clip">{name}</span>
                  <span class="num dim">{rate(tick.value?.services?.[name]?.rps ?? 0)}</span>
                </a>
              </li>
            ))}
            {names.length > 300 && <li class="dim more">and {int(names.length - 300)} more: filter</li>}
          </ul>
        </div>
        {service ? (
          <div class="page">
            <div class="sub-head">
              <div>
                <h2><a class="name" href={to(['services', chosen])}>{chosen}</a> <span class="count">{strategyName(service.wire.strategy)}{service.wire.ownStrategy ? ', its own' : ''}</span></h2>
                <p class="dim">{STRATEGIES[service.wire.strategy ?? '']?.about}</p>
              </div>
              <ActButtons acts={[{ ...strategy(chosen), verb: 'Switch strategy' }]} />
            </div>
            <Table label={`Shares of ${chosen}`} rows={rows} columns={COLUMNS} keyOf={(r) => r.id} revOf={(r) => `${r.rev}:${tickNo.value}`} href={(r) => to(['services', chosen, r.id])} sorting={sorting} onSort={(sort) => refine({ sort })} compactHeight={80} compact={(r) => <><InstanceCompact row={r} /><ShareBar share={tickOf(r)?.[4] ?? 0} expected={tickOf(r)?.[5]} /></>} />
          </div>
        ) : <p class="no-match">{chosen} is not registered.</p>}
      </div>
    </div>
  )
}
