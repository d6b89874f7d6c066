/** One service: its instances, its traffic, who calls it and whom it calls. */
import { useMemo, useRef } from 'preact/hooks'
import { count, duration, int, latency, percent, rate } from '../lib/format'
import { filter, place, refine, to } from '../lib/router'
import { Sorted, matcher, natural } from '../lib/sorted'
import { useLoad } from '../lib/load'
import type { DetailPage } from '../lib/types'
import { ActButtons, choose } from '../parts/act'
import { Ago, Empty, Facts, Failed, Filter, Head, InstanceLink, ServiceLink, ShareBar, State } from '../parts/bits'
import { Chart } from '../parts/chart'
import { EventLine, Strip } from '../parts/strip'
import { type Column, More, Table, sortingOf } from '../parts/table'
import { Findings } from '../parts/why'
import { actsOf, breakerActs, strategy } from '../state/acts'
import { detail } from '../state/detail'
import { callersOf } from '../state/graph'
import { loaded, track } from '../state/history'
import { type Row, events, members, rev, routes, services, tick, tickNo, tickOf } from '../state/store'
import { breakerWord, instanceWord, statusWord, strategyName } from '../state/words'
import { InstanceCompact, shortly, whyOf } from './services'

export default function Service() {
  const name = place.value.path[1] ?? ''
  void rev.value
  const service = services.get(name)
  if (!service) return <Gone name={name} />
  return <Found key={name} name={name} />
}

function Gone({ name }: { name: string }) {
  const was = events.value.filter((event) => event.service === name).slice(-5).reverse()
  return (
    <div>
      <Head title={name} crumbs={[{ label: 'Services', href: to(['services']) }]} />
      <Empty title="No instance of this service is registered" commands={[`ellie why ${name}`, `ellie register ${name} --port 3001 --health /health`]}>
        It may have been deregistered, or its leases ran out. The screen fills as soon as an instance is registered.
      </Empty>
      {was.map((event) => <EventLine key={event.id} event={event} bare />)}
    </div>
  )
}

const tickValue = (row: Row, at: 0 | 2 | 3 | 4): number => (tick.peek()?.instances?.[row.service.name]?.[row.id]?.[at] as number | undefined) ?? -1
const byId = (a: Row, b: Row): number => natural(a.id, b.id)
const ORDER: Record<string, (a: Row, b: Row) => number> = {
  id: byId,
  status: (a, b) => instanceWord(a.inst).rank - instanceWord(b.inst).rank || byId(a, b),
  version: (a, b) => natural(a.inst.version ?? '', b.inst.version ?? '') || byId(a, b),
  weight: (a, b) => a.inst.weight - b.inst.weight || byId(a, b),
  rps: (a, b) => tickValue(a, 0) - tickValue(b, 0) || byId(b, a),
  share: (a, b) => tickValue(a, 4) - tickValue(b, 4) || byId(b, a),
  latency: (a, b) => tickValue(a, 2) - tickValue(b, 2) || byId(b, a),
}

function columns(checks: DetailPage['lastChecks']): Column<Row>[] {
  return [
    { id: 'id', label: 'Instance', width: 'minmax(130px, 1.1fr)', cell: (r) => <InstanceLink service={r.service.name} id={r.id} /> },
    { id: 'status', label: 'Status', width: '130px', cell: (r) => <State word={instanceWord(r.inst)} /> },
    { id: 'since', label: 'Since', width: '72px', end: true, fixed: true, cell: (r) => <span class="num dim"><Ago at={r.inst.since} plain /></span> },
    { id: 'why', label: 'Last check', width: 'minmax(140px, 2fr)', fixed: true, wide: true, cell: (r) => { const text = instanceWord(r.inst).tone === 'ok' ? (checks?.[r.id]?.output ?? r.inst.reason) : whyOf(r); return <span class="dim clip" title={text}>{shortly(r, text)}</span> } },
    { id: 'address', label: 'Address', width: 'minmax(136px, .7fr)', fixed: true, cell: (r) => <span class="mono clip">{r.address}</span> },
    { id: 'version', label: 'Version', width: '62px', wide: true, cell: (r) => <span class="clip">{r.inst.version ?? '–'}</span> },
    { id: 'weight', label: 'Weight', width: '54px', end: true, down: true, cell: (r) => <span class="num">{r.inst.weight}</span> },
    { id: 'rps', label: 'req/s', width: '58px', end: true, down: true, cell: (r) => <span class="num">{rate(tickOf(r)?.[0] ?? 0)}</span> },
    { id: 'share', label: 'Share', width: '130px', down: true, title: 'of the last 10 s; the mark is what the balancer intends', cell: (r) => <ShareBar share={tickOf(r)?.[4] ?? 0} expected={tickOf(r)?.[5]} /> },
    { id: 'latency', label: 'Latency', width: '66px', end: true, down: true, cell: (r) => <span class="num">{latency(tickOf(r)?.[2])}</span> },
    { id: 'acts', label: '', width: '28px', fixed: true, cell: (r) => <More label={`Act on ${r.id}`} onClick={() => choose(r.id, actsOf(r))} /> },
  ]
}

function Found({ name }: { name: string }) {
  const order = useRef(new Sorted<Row>())
  void loaded.value
  void tickNo.value
  const service = services.get(name)
  const { data, error, again } = useLoad<DetailPage>(name, service?.rev, (signal) => detail(name, null, signal))
  const cols = useMemo(() => columns(data?.lastChecks), [data])
  const sorting = sortingOf(filter('sort'), { by: 'id', down: false })
  const compare = ORDER[sorting.by] ?? byId
  const query = filter('q')
  const moving = ['rps', 'share', 'latency'].includes(sorting.by) ? tickNo.value : 0
  const rows = useMemo(() => {
    const sorted = order.current.update(() => service?.rows.values() ?? [], members.value, sorting.down ? (a, b) => compare(b, a) : compare)
    const takes = matcher(query)
    return sorted.filter((row) => takes(row.hay))
  }, [rev.value, members.value, moving, query, sorting.by, sorting.down])
  if (!service) return null
  const w = service.wire
  const live = tick.value?.services?.[name]
  const breaker = tick.value?.breakers?.[name]
  const own = routes.value.filter((route) => route.serviceName === name)
  const callers = callersOf(name)
  const versions = [...new Set([...service.rows.values()].map((row) => row.inst.version ?? '–'))].sort(natural)
  const tags = [...new Set([...service.rows.values()].flatMap((row) => row.inst.tags ?? []))].sort()
  const t = track(name)
  return (
    <div class="stack">
      <Head
        title={<>{name} <State word={statusWord(w.status)} /></>}
        crumbs={[{ label: 'Services', href: to(['services']) }]}
        sub={<><span>{int(w.routable ?? 0)} of {count(service.total, 'instance')} get traffic</span><span class="num">{rate(live?.rps ?? 0)} req/s</span><span class="num">{live?.rps ? percent(live.errors ?? 0) : '–'} errors</span><span class="num">p95 {latency(live?.p95)}</span></>}
      >
        <button type="button" class="button" onClick={() => choose(`Breaker ${name}`, breakerActs(name))}><State word={breakerWord(breaker?.state ?? 'closed', breaker?.forced)} /> breaker</button>
        <ActButtons acts={[{ ...strategy(name), verb: 'Switch strategy' }]} />
        <a class="button" href={to(['topology'], { focus: name })}>Topology</a>
      </Head>
      <div class="charts">
        <Chart label="Requests per second" step={1} lines={[{ label: 'req/s', values: t?.rps.values() ?? [], color: '--accent', fill: true }]} format={rate} />
        <Chart label="Errors" step={1} lines={[{ label: 'errors', values: t?.errors.values() ?? [], color: '--bad', fill: true }]} format={percent} floor={0.05} />
        <Chart label="p95 latency" step={1} lines={[{ label: 'p95', values: t?.p95.values() ?? [], color: '--info' }]} format={latency} floor={5} />
      </div>
      <section class="panel">
        <h2>Instances <span class="count num">{int(rows.length)}</span></h2>
        {service.total > 8 && <div class="tools spaced"><Filter label="Filter instances" placeholder="Id, address, tag, zone, state" value={query} onChange={(q) => refine({ q })} /></div>}
        <Table label={`Instances of ${name}`} rows={rows} columns={cols} keyOf={(r) => r.id} revOf={(r) => `${r.rev}:${tickNo.value}`} href={(r) => to(['services', name, r.id])} sorting={sorting} onSort={(sort) => refine({ sort })} toneOf={(r) => (instanceWord(r.inst).tone === 'bad' ? 'row-bad' : '')} compact={(r) => <InstanceCompact row={r} />} most={14} empty={<p class="no-match">Nothing matches the filter.</p>} />
      </section>
      <div class="columns">
        <section class="panel">
          <h2>Why {data && <span class="count">{data.why.verdict}</span>}</h2>
          {error ? <Failed what="The analysis could not be loaded" error={error} retry={again} /> : data ? <Findings findings={data.why.findings} without={['last event']} /> : null}
        </section>
        <section class="panel">
          <h2>Definition</h2>
          <div class="padded">
            <Facts
              items={[
                ['Strategy', <>{strategyName(w.strategy)}{w.ownStrategy ? ' (its own)' : ''}</>],
                ['Versions', versions.join(', ')],
                ['Tags', tags.length ? tags.join(', ') : '–'],
                ['Depends on', w.dependencies?.length ? w.dependencies.map((d, i) => <span key={d}>{i ? ', ' : ''}<ServiceLink name={d} /></span>) : '–'],
                ['Called by', callers.length ? callers.map((d, i) => <span key={d}>{i ? ', ' : ''}<ServiceLink name={d} /></span>) : '–'],
                ['Routes', own.length ? own.map((route) => <div key={route.id}><a class="name mono" href={to(['gateway'], { q: route.id })}>{route.path}</a></div>) : 'none leads here'],
                ['Breaker', data?.breaker ? `opens at ${data.breaker.config.failureThreshold} failures in ${duration(data.breaker.config.monitoringPeriod)}` : '–'],
              ]}
            />
          </div>
        </section>
      </div>
      <section class="panel">
        <h2>Events of 30 minutes <a class="h2-link" href={to(['events'], { service: name })}>all events</a></h2>
        <Strip service={name} />
        <div class="event-list">{events.value.filter((event) => event.service === name).slice(-6).reverse().map((event) => <EventLine key={event.id} event={event} />)}</div>
      </section>
    </div>
  )
}
