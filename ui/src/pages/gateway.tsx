/** Routes, and which of them a request takes. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import { call } from '../lib/api'
import { count, duration, int, latency, percent, rate, shell } from '../lib/format'
import { filter, go, place, refine, to } from '../lib/router'
import { matcher, natural } from '../lib/sorted'
import type { Route, RouteTestResult } from '../lib/types'
import { Command, Empty, Failed, Filter, Head, InstanceLink, Segments, ServiceLink, State } from '../parts/bits'
import { Chart } from '../parts/chart'
import { Icon } from '../parts/icon'
import { type Column, Table, sortingOf } from '../parts/table'
import { loaded, total } from '../state/history'
import { mode, routes, services, tick, tickNo } from '../state/store'
import { breakerWord, instanceWord, strategyName } from '../state/words'

const methods = (route: Route): string => (Array.isArray(route.method) ? route.method.join(' ') : (route.method ?? 'any'))
const live = (route: Route) => tick.value?.routes?.[route.id]

const ORDER: Record<string, (a: Route, b: Route) => number> = {
  path: (a, b) => natural(a.path, b.path),
  service: (a, b) => natural(a.serviceName, b.serviceName) || natural(a.path, b.path),
  rps: (a, b) => (live(a)?.rps ?? 0) - (live(b)?.rps ?? 0) || natural(b.path, a.path),
  errors: (a, b) => (live(a)?.errors ?? 0) - (live(b)?.errors ?? 0) || natural(b.path, a.path),
  p95: (a, b) => (live(a)?.p95 ?? 0) - (live(b)?.p95 ?? 0) || natural(b.path, a.path),
}

const COLUMNS: Column<Route>[] = [
  { id: 'path', label: 'Path', width: 'minmax(150px, 1.4fr)', cell: (r) => <span class="mono clip" title={r.id}>{r.host ? <span class="dim">{r.host}</span> : ''}{r.path}</span> },
  { id: 'method', label: 'Method', width: '76px', fixed: true, cell: (r) => <span class="clip">{methods(r)}</span> },
  { id: 'service', label: 'Service', width: 'minmax(100px, .9fr)', cell: (r) => services.has(r.serviceName) ? <ServiceLink name={r.serviceName} /> : <span class="state warn" title="not registered"><Icon name="triangle" size={13} />{r.serviceName}</span> },
  { id: 'target', label: 'Sent as', width: 'minmax(80px, .7fr)', fixed: true, wide: true, cell: (r) => <span class="mono clip dim">{r.targetPath ?? 'as it is'}</span> },
  { id: 'limits', label: 'Limits', width: 'minmax(110px, .8fr)', fixed: true, wide: true, cell: (r) => <span class="clip dim">{[r.rateLimit ? `${int(r.rateLimit.max)} per ${duration(r.rateLimit.windowMs)}` : '', r.timeout ? `timeout ${duration(r.timeout)}` : '', r.retries !== undefined ? count(r.retries, 'retry', 'retries') : ''].filter(Boolean).join(', ') || '–'}</span> },
  { id: 'rps', label: 'req/s', width: '60px', end: true, down: true, cell: (r) => <span class="num">{rate(live(r)?.rps ?? 0)}</span> },
  { id: 'errors', label: 'Errors', width: '64px', end: true, down: true, cell: (r) => <span class={`num ${(live(r)?.errors ?? 0) >= 0.05 ? 'bad strong' : ''}`}>{live(r)?.rps ? percent(live(r)?.errors ?? 0) : '–'}</span> },
  { id: 'p50', label: 'p50', width: '64px', end: true, fixed: true, wide: true, cell: (r) => <span class="num">{latency(live(r)?.p50)}</span> },
  { id: 'p95', label: 'p95', width: '64px', end: true, down: true, cell: (r) => <span class="num">{latency(live(r)?.p95)}</span> },
  { id: 'p99', label: 'p99', width: '64px', end: true, fixed: true, wide: true, cell: (r) => <span class="num">{latency(live(r)?.p99)}</span> },
  { id: 'limited', label: 'Limited/s', width: '68px', end: true, fixed: true, title: 'refused by the rate limit, a second', cell: (r) => <span class={`num ${live(r)?.limited ? 'warn strong' : ''}`}>{rate(live(r)?.limited ?? 0)}</span> },
  { id: 'test', label: '', width: '44px', fixed: true, cell: (r) => <a class="button small" href={to(['gateway', 'test'], { path: r.path.replace(/\*$/, ''), host: r.host, method: Array.isArray(r.method) ? r.method[0] : r.method })}>Test</a> },
]

export default function Gateway() {
  const testing = place.value.path[1] === 'test'
  return (
    <div class={testing ? 'stack' : 'page'}>
      <Head title="Gateway" sub={mode.value.gateway ? <code>{mode.value.gateway}</code> : null}>
        <Segments label="View" value={testing ? 'test' : ''} onChange={(view) => go(to(view ? ['gateway', 'test'] : ['gateway']))} choices={[{ value: '', label: 'Routes' }, { value: 'test', label: 'Route tester' }]} />
      </Head>
      {testing ? <Tester /> : <Routes />}
    </div>
  )
}

function Routes() {
  void tickNo.value
  void loaded.value
  const query = filter('q')
  const sorting = sortingOf(filter('sort'), { by: '', down: false })
  const rows = useMemo(() => {
    const takes = matcher(query)
    const found = routes.value.filter((r) => takes(`${r.id} ${r.path} ${r.host ?? ''} ${r.serviceName} ${methods(r)}`.toLowerCase()))
    const compare = ORDER[sorting.by]
    return compare ? found.sort(sorting.down ? (a, b) => compare(b, a) : compare) : found
  }, [routes.value, tickNo.value, query, sorting.by, sorting.down])
  const t = tick.value
  if (routes.value.length === 0) {
    return <Empty title="No route yet" commands={["ellie routes add '/api/users/*' users", "ellie routes test /api/users/7"]}>A route sends a path to a service. It can come from the configuration file, too: <code>[[routes]]</code>.</Empty>
  }
  return (
    <>
      <div class="charts">
        <Chart label="Requests per second" height={96} step={1} lines={[{ label: 'req/s', values: total.rps.values(), color: '--accent', fill: true }]} format={rate} />
        <Chart label="Errors" height={96} step={1} lines={[{ label: 'errors', values: total.errors.values(), color: '--bad', fill: true }]} format={percent} floor={0.05} />
        <Chart label="p95 latency" height={96} step={1} lines={[{ label: 'p95', values: total.p95.values(), color: '--info' }]} format={latency} floor={5} />
      </div>
      <div class="tools">
        <Filter label="Filter routes" placeholder="Path, host, service" value={query} onChange={(q) => refine({ q })} />
        <span class="dim num inline-facts"><span>{int(t?.inFlight ?? 0)} in flight</span><span>{int(t?.connections ?? 0)} connections</span><span>{rate(t?.retries ?? 0)} retries/s</span><span>{rate(t?.limited ?? 0)} limited/s</span></span>
      </div>
      <Table label="Routes, in the order they are matched" rows={rows} columns={COLUMNS} keyOf={(r) => r.id} revOf={() => tickNo.value} sorting={sorting} onSort={(sort) => refine({ sort })} compact={(r) => <><div class="compact-top"><span class="mono clip">{r.path}</span><ServiceLink name={r.serviceName} /></div><div class="compact-sub num">{methods(r)} · {rate(live(r)?.rps ?? 0)} req/s · {latency(live(r)?.p95)}</div></>} empty={<p class="no-match">No route matches.</p>} />
    </>
  )
}

/** Header fields that are secrets stay out of the address. */
const SECRET = /authorization|cookie|token|secret|key|password/i

function parseHeaders(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) found[line.slice(0, colon).trim()] = line.slice(colon + 1).trim()
  }
  return found
}

function Tester() {
  const [method, setMethod] = useState(filter('method') || 'GET')
  const [host, setHost] = useState(filter('host'))
  const [path, setPath] = useState(filter('path') || routes.peek()[0]?.path.replace(/\*$/, '') || '/')
  const [headers, setHeaders] = useState(filter('headers'))
  const [result, setResult] = useState<RouteTestResult | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const run = async (): Promise<void> => {
    const given = parseHeaders(headers)
    const told = headers.split('\n').filter((line) => !SECRET.test(line.split(':')[0] ?? '')).join('\n')
    refine({ method: method === 'GET' ? undefined : method, host, path, headers: told })
    try {
      setResult(await call<RouteTestResult>('POST', 'ui/route-test', { method, path, ...(host ? { host } : {}), ...(Object.keys(given).length ? { headers: given } : {}) }))
      setError(null)
    } catch (reason) {
      setResult(null)
      setError(reason instanceof Error ? reason : new Error(String(reason)))
    }
  }
  useEffect(() => {
    if (filter('path')) void run()
  }, [])
  const fields = Object.entries(parseHeaders(headers))
  const verb = method === 'GET' ? '' : method === 'HEAD' ? ' --head' : ` -X ${method}`
  const cli = `ellie routes test ${shell(path)}${method === 'GET' ? '' : ` --method ${method}`}${host ? ` --host ${shell(host)}` : ''}${fields.map(([name, text]) => ` --header ${shell(`${name}=${text}`)}`).join('')}`
  const real = `curl -i${verb}${host ? ` -H ${shell(`Host: ${host}`)}` : ''}${fields.map(([name, text]) => ` -H ${shell(`${name}: ${text}`)}`).join('')} ${shell(`http://${mode.value.gateway ?? '127.0.0.1:8000'}${path}`)}`
  return (
    <div class="columns tester">
      <form class="act-form" onSubmit={(event) => { event.preventDefault(); void run() }}>
        <div class="tester-line">
          <label class="field"><span>Method</span>
            <select class="select" value={method} onChange={(event) => setMethod(event.currentTarget.value)}>{['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].map((m) => <option key={m}>{m}</option>)}</select>
          </label>
          <label class="field grow"><span>Path and query</span><input type="text" value={path} data-filter spellcheck={false} autocomplete="off" onInput={(event) => setPath(event.currentTarget.value)} /></label>
        </div>
        <label class="field"><span>Host</span><input type="text" value={host} placeholder="any" spellcheck={false} autocomplete="off" onInput={(event) => setHost(event.currentTarget.value)} /></label>
        <label class="field"><span>Header fields</span><textarea rows={3} value={headers} placeholder={'x-tenant: a\nx-version: 2'} spellcheck={false} onInput={(event) => setHeaders(event.currentTarget.value)} /><small>One a line. Fields that look like secrets are sent, but not kept in the address.</small></label>
        <div><button type="submit" class="button primary">Which route?</button></div>
        <Command label="ellie" text={cli} />
        <Command label="send it" text={real} />
      </form>
      <div class="stack-tight" data-result aria-live="polite">
        {error && <Failed what="The request could not be judged" error={error} />}
        {result ? <Result result={result} /> : !error && <p class="dim">Nothing is sent to any service: the gateway’s own matcher is asked what it would do.</p>}
      </div>
    </div>
  )
}

function Result({ result }: { result: RouteTestResult }) {
  const routed = result.outcome === 'routed'
  const service = result.route?.serviceName ?? ''
  return (
    <>
      <div class={`verdict ${routed ? 'yes' : 'no'}`}>
        <span class={routed ? 'ok' : 'bad'}><Icon name={routed ? 'check' : 'octagon'} size={20} /></span>
        <div><strong>{result.verdict}</strong>{result.target && <div class="dim">sent as <code>{result.target}</code></div>}{result.allow && <div class="dim">Allow: {result.allow}</div>}</div>
      </div>
      {result.breaker && <p>Breaker of {service}: <State word={breakerWord(result.breaker.state, result.breaker.forced)} /></p>}
      {result.resolve && (
        <section class="panel"><h2>Instances <span class="count">{strategyName(result.resolve.strategy)}</span></h2>
          <table class="plain"><thead><tr><th>Instance</th><th>Status</th><th class="end" title="that the next request is its">chance</th><th>Why</th></tr></thead>
            <tbody>{result.resolve.candidates.slice(0, 12).map((c) => <tr key={c.id}><td>{c.picked && <span class="ok"><Icon name="chevron" size={12} label="picked" /></span>} <InstanceLink service={service} id={c.id} /></td><td><State word={instanceWord({ status: c.status, standing: c.standing, reason: c.reason })} /></td><td class="end num">{percent(c.score?.share)}</td><td class="dim">{c.reason}</td></tr>)}</tbody></table>
        </section>
      )}
      {result.outcome === 'not_found' && !result.considered?.length && <p class="dim">No route has a path that fits. <a href={to(['gateway'])}>See all routes</a>, or add one:</p>}
      {result.outcome === 'not_found' && <Command text={`ellie routes add ${shell(result.path ?? '/')} SERVICE`} />}
      {result.considered && result.considered.length > 0 && (
        <section class="panel"><h2>Routes considered</h2>
          <table class="plain"><tbody>{result.considered.slice(0, 20).map((c) => <tr key={c.id}><td><span class={c.verdict === 'matched' ? 'ok' : 'idle'}><Icon name={c.verdict === 'matched' ? 'check' : 'slash'} size={13} label={c.verdict} /></span></td><td class="mono">{c.path}</td><td>{c.id}</td><td class="dim">{c.text}</td></tr>)}</tbody></table>
        </section>
      )}
    </>
  )
}
