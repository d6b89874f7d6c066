/** What an operator opens first: what needs attention, and how much is going on. */
import { useMemo } from 'preact/hooks'
import { int, latency, percent, rate } from '../lib/format'
import { filter, refine, to } from '../lib/router'
import { Ago, Empty, Left, ServiceLink, Split } from '../parts/bits'
import { Icon } from '../parts/icon'
import { Spark } from '../parts/spark'
import { EventLine, Strip } from '../parts/strip'
import { choose } from '../parts/act'
import { actsOf, breakerActs } from '../state/acts'
import { type Matter, matters, watch } from '../state/attention'
import { condition } from '../state/condition'
import { loaded, total, track } from '../state/history'
import { events, mode, now, processes, providers, rev, routes, rowOf, services, tick, tickNo } from '../state/store'
import { instanceWord } from '../state/words'

const MOST_MATTERS = 8
const MOST_BUSY = 10
const MOST_EVENTS = 8

export function Overview() {
  void rev.value
  if (services.size === 0 && events.value.length < 3) return <Nothing />
  return (
    <div class="overview">
      <h1 class="offscreen">Overview</h1>
      <Figures />
      <div class="columns">
        <Attention />
        <Busiest />
      </div>
      <Recent />
    </div>
  )
}

function Nothing() {
  const api = mode.value.api ?? '127.0.0.1:5000'
  return (
    <Empty title="Nothing is registered yet" commands={['ellie register users --port 3001 --health /health', 'ellie run --name users --health /health -- ./server', `curl -X POST http://${api}/services -H "Authorization: Bearer $ELLIE_TOKEN" -H 'Content-Type: application/json' -d '{"name":"users","host":"127.0.0.1","port":3001}'`, 'ellie demo']}>
      A service appears here a moment after it is registered: by a command, by a program that is started through <code>ellie run</code>, or by the API. <code>ellie demo</code> shows everything at work with nothing configured.
    </Empty>
  )
}

function Figures() {
  void tickNo.value
  void loaded.value
  const t = tick.value
  let [healthy, degraded, unhealthy, held, awaiting, all] = [0, 0, 0, 0, 0, 0]
  let sick = 0
  for (const service of services.values()) {
    all += service.total
    const w = service.wire
    if (w.status !== 'healthy') sick++
    if ((w.routable ?? 0) === service.total && w.healthy === service.total) {
      healthy += service.total
      continue
    }
    for (const row of service.rows.values()) {
      const { tone } = instanceWord(row.inst)
      if (tone === 'ok') healthy++
      else if (tone === 'warn') degraded++
      else if (tone === 'hold') held++
      else if (tone === 'idle') awaiting++
      else unhealthy++
    }
  }
  const breakers = Object.values(t?.breakers ?? {})
  const open = breakers.filter((b) => b.state === 'open').length
  const half = breakers.filter((b) => b.state === 'half_open').length
  const errors = t?.errors ?? 0
  return (
    <section class="figures" aria-label="Figures">
      <a class="figure" href={to(['gateway'])}>
        <span class="figure-name">Requests per second</span>
        <span class="figure-value num" data-figure="rps">{rate(t?.rps)}</span>
        <Spark values={total.rps.values()} floor={1} label="Requests per second, two minutes" />
      </a>
      <a class="figure" href={to(['gateway'])}>
        <span class="figure-name">Errors</span>
        <span class={`figure-value num ${errors >= 0.05 ? 'bad' : errors >= 0.01 ? 'warn' : ''}`}>
          {errors >= 0.01 && <Icon name={errors >= 0.05 ? 'octagon' : 'triangle'} size={15} label={errors >= 0.05 ? 'high' : 'raised'} />}
          {t?.rps ? percent(errors) : '–'}
        </span>
        <Spark values={total.errors.values()} floor={0.05} tone="bad" label="Share of errors, two minutes" />
      </a>
      <a class="figure" href={to(['gateway'])}>
        <span class="figure-name">p95 latency</span>
        <span class="figure-value num">{latency(t?.p95)}</span>
        <Spark values={total.p95.values()} floor={5} tone="info" label="95th percentile of latency, two minutes" />
      </a>
      <a class="figure" href={to(['services'], sick ? { sort: 'status' } : {})}>
        <span class="figure-name">Services</span>
        <span class="figure-value num">{int(services.size)}</span>
        <span class="figure-note">{sick ? <span class="warn"><Icon name="triangle" size={12} /> {int(sick)} not healthy</span> : <span class="ok"><Icon name="check" size={12} /> all healthy</span>}</span>
      </a>
      <a class="figure" href={to(['services'], { view: 'instances' })}>
        <span class="figure-name">Instances</span>
        <span class="figure-value num">{int(all)}</span>
        <Split healthy={healthy} degraded={degraded} unhealthy={unhealthy} held={held} awaiting={awaiting} />
        <span class="figure-note">{[[healthy, 'healthy'], [degraded, 'degraded'], [unhealthy, 'unhealthy'], [held, 'held back'], [awaiting, 'awaiting a check']].filter(([n]) => n).map(([n, word]) => `${int(n as number)} ${word}`).join(', ') || 'none'}</span>
      </a>
      <a class="figure" href={to(['breakers'])}>
        <span class="figure-name">Open breakers</span>
        <span class={`figure-value num ${open ? 'bad' : ''}`} data-figure="open">
          {open > 0 && <Icon name="breaker-open" size={17} />}
          {int(open)}
        </span>
        <span class="figure-note">{half ? `${int(half)} half-open, ` : ''}{int(Math.max(0, services.size - open - half))} closed</span>
      </a>
    </section>
  )
}

function Attention() {
  const all = useMemo(
    () => watch(matters({ services: services.values(), has: (name) => services.has(name), tick: tick.value, mode: mode.value, routes: routes.value, processes: processes.value, providers: providers.value, now: now.peek(), errors: (name) => track(name)?.errors.values() ?? [] }), now.peek()),
    [rev.value, tick.value, mode.value, routes.value, processes.value, providers.value],
  )
  const whole = filter('all') === '1'
  const shown = whole ? all : all.slice(0, MOST_MATTERS)
  return (
    <section class="panel attention" aria-label="Needs attention">
      <h2>
        Needs attention {all.length > 0 && <span class="count num">{int(all.length)}</span>}
      </h2>
      {all.length === 0 ? (
        <p class="all-well">
          <span class="ok"><Icon name="check" size={18} /></span> Nothing. Every service has instances that get traffic, every breaker is closed.
        </p>
      ) : (
        <ul class="matters" data-matters>
          {shown.map((matter) => <Line key={matter.key} matter={matter} />)}
        </ul>
      )}
      {all.length > MOST_MATTERS && (
        <p class="more">
          <button type="button" class="button small" aria-expanded={whole} onClick={() => refine({ all: whole ? undefined : '1' })}>{whole ? 'Only the worst' : `Show all ${int(all.length)}`}</button>
        </p>
      )}
    </section>
  )
}

function Line({ matter }: { matter: Matter }) {
  const acts = (): void => {
    if (matter.breaker) choose(`Breaker ${matter.breaker}`, breakerActs(matter.breaker))
    else if (matter.instance) {
      const row = rowOf(matter.instance.service, matter.instance.id)
      if (row) choose(row.id, actsOf(row))
    }
  }
  return (
    <li class={`matter sev${matter.severity}`}>
      <span class={`matter-sign ${matter.tone}`}>
        <Icon name={matter.icon} label={['critical', 'warning', 'notice'][matter.severity] ?? ''} />
      </span>
      <div class="matter-text">
        <div>
          <a class="name" href={to(matter.path)}>{matter.subject}</a> {matter.what}
        </div>
        {matter.why && <div class="why" title={matter.why}>{matter.why}</div>}
      </div>
      <span class="matter-since num">
        {Number.isFinite(matter.since) && <span class={matter.until ? 'dim' : ''} title={matter.atLeast ? 'it was so already when this page was opened' : undefined}>{matter.atLeast ? 'over ' : ''}<Ago at={matter.since} plain /></span>}
        {matter.until && <Left until={matter.until} />}
      </span>
      {matter.breaker || matter.instance ? (
        <button type="button" class="icon-button" aria-label={`Act on ${matter.subject}`} title="Act" onClick={acts}>
          <Icon name="more" />
        </button>
      ) : <span />}
    </li>
  )
}

function Busiest() {
  void loaded.value
  const live = Object.entries(tick.value?.services ?? {})
    .filter(([, t]) => (t.rps ?? 0) > 0)
    .sort(([, a], [, b]) => (b.rps ?? 0) - (a.rps ?? 0))
  // A second more or less moves nobody: the order is that of the last two minutes.
  const weight = (name: string): number => track(name)?.rps.values().reduce((a, b) => a + (b || 0), 0) ?? 0
  const shown = live.slice(0, MOST_BUSY * 2).map(([name, t]) => ({ name, t, sum: weight(name) })).sort((a, b) => b.sum - a.sum || (a.name < b.name ? -1 : 1)).slice(0, MOST_BUSY)
  return (
    <section class="panel busiest" aria-label="Busiest services">
      <h2>Busiest services</h2>
      {shown.length === 0 ? (
        <p class="dim">No requests through the gateway {mode.value.gateway ? <>at <code>{mode.value.gateway}</code></> : ''} in the last seconds.</p>
      ) : (
        <table class="plain">
          <thead>
            <tr>
              <th>Service</th>
              <th class="spark-col"><span class="offscreen">Two minutes</span></th>
              <th class="end">req/s</th>
              <th class="end">errors</th>
              <th class="end">p95</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ name, t }) => {
              const word = condition(name)
              return (
                <tr key={name}>
                  <td>
                    <span class="named"><span class={word.tone}><Icon name={word.icon} size={13} label={word.word} /></span><ServiceLink name={name} /></span>
                  </td>
                  <td class="spark-col"><Spark values={track(name)?.rps.values() ?? []} width={100} height={20} floor={1} label={`Requests to ${name}, two minutes`} /></td>
                  <td class="end num">{rate(t.rps)}</td>
                  <td class={`end num ${(t.errors ?? 0) >= 0.05 ? 'bad' : ''}`}>{percent(t.errors)}</td>
                  <td class="end num">{latency(t.p95)}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      )}
    </section>
  )
}

function Recent() {
  const last = events.value.slice(-MOST_EVENTS).reverse()
  return (
    <section class="panel" aria-label="Events">
      <h2>
        Events of 30 minutes <a class="h2-link" href={to(['events'])}>all events</a>
      </h2>
      <Strip />
      <div class="event-list">{last.map((event) => <EventLine key={event.id} event={event} />)}</div>
    </section>
  )
}
