/** One instance: why it is, or is not, where requests go. */
import { duration, int, latency, percent, rate } from '../lib/format'
import { place, to } from '../lib/router'
import { useLoad } from '../lib/load'
import type { DetailPage } from '../lib/types'
import { ApiError } from '../lib/api'
import { ActButtons } from '../parts/act'
import { Ago, Command, Empty, Facts, Failed, Head, InstanceLink, Left, Loading, ShareBar, State } from '../parts/bits'
import { Icon } from '../parts/icon'
import { EventLine } from '../parts/strip'
import { Findings } from '../parts/why'
import { actsOf } from '../state/acts'
import { detail } from '../state/detail'
import { rev, rowOf, tick, tickNo } from '../state/store'
import { instanceWord, statusWord, strategyName } from '../state/words'
import { whyOf } from './services'

export default function InstancePage() {
  const [, name = '', id = ''] = place.value.path
  void rev.value
  void tickNo.value
  const row = rowOf(name, id)
  // The last check moves without a change of state: it is asked for every five seconds while somebody looks.
  const { data, error, again } = useLoad<DetailPage>(`${name}/${id}`, `${row?.rev}:${Math.floor(tickNo.value / 5)}`, (signal) => detail(name, id, signal))
  const crumbs = [{ label: 'Services', href: to(['services']) }, { label: name, href: to(['services', name]) }]
  if (!row) {
    return (
      <div>
        <Head title={id} crumbs={crumbs} />
        <Empty title="This instance is not registered" commands={[`ellie why ${name} ${id}`, `ellie events --service ${name}`]}>
          It was deregistered, or its lease ran out. The screen fills when it registers again.
        </Empty>
      </div>
    )
  }
  const { inst } = row
  const live = tick.value?.instances?.[name]?.[id]
  const marks = Object.entries(inst.operator ?? {}).filter(([, mark]) => mark)
  const report = data?.why.instances?.find((item) => item.id === id)
  const whole = data?.instance
  const check = data?.check
  const last = whole?.lastCheck
  const routable = inst.standing === 'routable'
  const held = instanceWord(inst).tone === 'hold'
  // The first reason of the analysis; without one, what the stream tells.
  const findings = [...(report?.findings ?? []), ...(data?.why.findings ?? [])]
  const cause = routable ? undefined : findings.find((finding) => finding.level === 'problem')
  return (
    <div class="stack">
      <Head title={<>{id} <State word={instanceWord(inst)} /></>} crumbs={crumbs} sub={<><span class="mono">{row.address}</span><span>since <Ago at={inst.since} plain /></span><span class="num">{rate(live?.[0] ?? 0)} req/s</span></>}>
        <ActButtons acts={actsOf(row)} />
      </Head>
      <div class={`verdict ${routable ? 'yes' : held ? 'hold-back' : 'no'}`}>
        <span class={routable ? 'ok' : held ? 'hold' : 'bad'}><Icon name={routable ? 'check' : held ? instanceWord(inst).icon : 'octagon'} size={20} /></span>
        <div>
          <strong>{data?.why.verdict ?? (routable ? 'It gets traffic' : 'It gets no traffic')}</strong>
          <div class="dim">{cause ? `${cause.topic}: ${cause.text}` : whyOf(row)}</div>
        </div>
      </div>
      {error && !(error instanceof ApiError && error.status === 404) && <Failed what="The analysis could not be loaded" error={error} retry={again} />}
      <div class="columns">
        <section class="panel">
          <h2>Why</h2>
          {data ? <Findings findings={findings} without={['check', 'history', 'last event']} /> : <Loading what="the analysis" />}
          {data?.why.try?.length ? <div class="padded stack-tight">{data.why.try.slice(0, 3).map((text) => <Command key={text} text={text} />)}</div> : null}
        </section>
        <div class="stack">
          <section class="panel">
            <h2>Health check</h2>
            <div class="padded stack-tight">
              <Facts
                items={check?.type === 'none' ? [['Check', 'none: it counts as healthy for as long as it is registered']] : [
                  ['Check', check ? `${check.type ?? '–'}${check.interval ? `, every ${duration(check.interval)}` : ''}` : (inst.check ?? '–')],
                  ['Timeout', duration(check?.timeout)],
                  ['Healthy after', check?.successThreshold ? `${check.successThreshold} in a row` : '–'],
                  ['Unhealthy after', check?.failureThreshold ? `${check.failureThreshold} in a row` : '–'],
                  ['Checks so far', int(whole?.checks)],
                  ['Failures in a row', int(whole?.consecutiveFailures)],
                ]}
              />
              {check?.url && <code class="clip" title={check.url}>{check.url}</code>}
              {last && (
                <div class="output">
                  <div><State word={statusWord(last.verdict)} /> <span class="dim"><Ago at={last.at} />, after {latency(last.tookMs)}</span></div>
                  <code>{last.output}</code>
                  {last.body && <code>{JSON.stringify(last.body)}</code>}
                </div>
              )}
            </div>
          </section>
          <section class="panel">
            <h2>Transitions</h2>
            {whole?.transitions?.length ? (
              <ol class="transitions">
                {[...whole.transitions].reverse().map((t) => (
                  <li key={t.at + t.to}>
                    <span class="dim num"><Ago at={t.at} /></span>
                    <span class={statusWord(t.from).tone}>{t.from}</span> → <State word={statusWord(t.to)} />
                    <div class="dim">{t.reason}</div>
                  </li>
                ))}
              </ol>
            ) : <p class="dim">None yet.</p>}
          </section>
        </div>
      </div>
      {data?.resolve && (
        <section class="panel">
          <h2>Beside its peers <span class="count">{strategyName(data.resolve.strategy)}, level {data.resolve.level}</span></h2>
          <div class="scroll-x" tabIndex={0} role="region" aria-label="Scores of all instances">
            <table class="plain">
              <thead><tr><th>Instance</th><th>Status</th><th class="end">cost</th><th class="share-col">share</th><th class="end">in flight</th><th class="end">latency</th><th class="end">× median</th><th class="end">failing</th><th class="end">weight</th><th>Why</th></tr></thead>
              <tbody>
                {peers(data, id).map((c) => {
                  const t = tick.value?.instances?.[name]?.[c.id]
                  return (
                    <tr key={c.id} class={c.id === id ? 'self' : ''}>
                      <td><InstanceLink service={name} id={c.id} /></td>
                      <td><State word={instanceWord({ status: c.status, standing: c.standing, reason: c.reason })} /></td>
                      <td class="end num">{c.score ? c.score.cost.toFixed(2) : '–'}</td>
                      <td class="share-col"><ShareBar share={t?.[4] ?? 0} expected={t?.[5] ?? c.score?.share} /></td>
                      <td class="end num">{int(t?.[1] ?? c.score?.inFlight ?? 0)}</td>
                      <td class="end num">{latency(t?.[2] ?? c.score?.latencyMs)}</td>
                      <td class="end num">{c.score ? c.score.relativeLatency.toFixed(2) : '–'}</td>
                      <td class="end num">{percent(t?.[3] ?? c.score?.failureRate)}</td>
                      <td class="end num">{c.weight}</td>
                      <td class="dim">{c.reason}</td>
                    </tr>
                  )
                })}
              </tbody>
            </table>
          </div>
        </section>
      )}
      <div class="columns">
        <section class="panel">
          <h2>Definition</h2>
          <div class="padded">
            <Facts
              items={[
                ['Version', inst.version ?? '–'],
                ['Protocol', inst.protocol ?? 'http'],
                ['Weight', `${inst.weight}${inst.registeredWeight !== undefined && inst.registeredWeight !== inst.weight ? ` (registered ${inst.registeredWeight})` : ''}`],
                ['Zone', inst.zone ?? '–'],
                ['Tags', inst.tags?.join(', ') || '–'],
                ['Registered', <Ago at={whole?.registeredAt} />],
                ['By', inst.source ?? '–'],
                ['Lease', whole?.lease ? <>{duration(whole.lease.ttl)}{whole.lease.expiresAt && <>, <Left until={whole.lease.expiresAt} /></>}</> : 'none'],
                ['Requests', (() => { const b = data?.balance?.[id]; return b ? `${int(b.successes)} ok, ${int(b.failures)} failed, ${int(b.timeouts)} timed out` : '–' })()],
                ...Object.entries(whole?.metadata ?? {}).map(([key, text]): [string, string] => [key, text]),
                ...marks.map(([what, mark]): [string, preact.ComponentChildren] => [what, <>by {mark?.by}{mark?.reason ? `: ${mark.reason}` : ''}{mark?.until && <>, <Left until={mark.until} /></>}</>]),
              ]}
            />
          </div>
        </section>
        <section class="panel">
          <h2>Events</h2>
          <div class="event-list">{(data?.events ?? []).filter((event) => event.instance === id || !event.instance).slice(-8).reverse().map((event) => <EventLine key={event.id} event={event} bare />)}</div>
        </section>
      </div>
    </div>
  )
}

const MOST_PEERS = 20

/** Itself first, then the busiest others. */
function peers(data: DetailPage, id: string) {
  const all = [...(data.resolve?.candidates ?? [])]
  all.sort((a, b) => Number(b.id === id) - Number(a.id === id) || (b.score?.share ?? -1) - (a.score?.share ?? -1))
  return all.slice(0, MOST_PEERS)
}
