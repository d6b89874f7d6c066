/** What needs an operator, the worst first, each with since when and why. */
import { count, listed, percent, rate } from '../lib/format'
import type { BreakerTick, Mode, Process, Provider, Route, Tick } from '../lib/types'
import { EJECTED, SICK } from '../lib/types'
import type { Row, Svc } from './store'
import { causeWord, instanceWord, processWord, type Tone } from './words'

/** 0 takes traffic away, 1 hurts, 2 is worth knowing. */
export type Severity = 0 | 1 | 2

export interface Matter {
  key: string
  severity: Severity
  tone: Tone
  icon: string
  /** Where it is: path segments of the screen that tells more. */
  path: string[]
  subject: string
  what: string
  why: string
  /** ms; `NaN` where it is not known. */
  since: number
  /** It was so before anybody looked: `since` is when it was first seen. */
  atLeast?: boolean
  /** When it ends by itself, ms. */
  until?: number
  breaker?: string
  instance?: { service: string; id: string }
}

export interface Sight {
  services: Iterable<Svc>
  has: (service: string) => boolean
  tick: Tick | null
  mode: Mode
  routes: readonly Route[]
  processes: readonly Process[] | null
  providers: readonly Provider[]
  now: number
  /** Shares of errors of a service, a second each, the last is now. */
  errors: (service: string) => readonly number[]
}

/** Services of which an answer in so many is an error are told of, from this many requests a second on. */
const ERRORS = 0.05
const ENOUGH = 1
/** A process that waits longer than this for what it depends on is told of, ms. */
const LONG = 30_000

export function matters(sight: Sight): Matter[] {
  const found: Matter[] = []
  const { tick, mode, now } = sight
  if (mode.configRejected) {
    const { at, message } = mode.configRejected
    found.push({ key: 'config', severity: 1, tone: 'bad', icon: 'sliders', path: ['config'], subject: 'Configuration', what: 'the last reload was refused; the one before is in force', why: message, since: Date.parse(at) })
  }
  if (mode.expiryPaused) {
    found.push({ key: 'expiry', severity: 1, tone: 'bad', icon: 'pause', path: ['events'], subject: 'Leases', what: 'expiry is paused', why: 'so many leases ran out at once that the network is the likelier cause', since: Number.NaN, until: Date.parse(mode.expiryPaused) })
  }
  for (const [name, breaker] of Object.entries(tick?.breakers ?? {})) {
    const matter = ofBreaker(name, breaker, now)
    if (matter) found.push(matter)
  }
  for (const service of sight.services) ofService(service, sight, found)
  for (const route of sight.routes) {
    if (sight.has(route.serviceName)) continue
    found.push({ key: `r:${route.id}`, severity: 1, tone: 'warn', icon: 'gateway', path: ['gateway'], subject: route.id, what: `routes to ${route.serviceName}, which is not registered`, why: 'requests on it are answered with 503', since: route.createdAt ? Date.parse(route.createdAt) : Number.NaN })
  }
  for (const process of sight.processes ?? []) {
    const word = processWord(process.state)
    if (process.state === 'waiting' && now - Date.parse(process.since) > LONG) {
      found.push({ key: `w:${process.name}`, severity: 2, tone: 'warn', icon: 'clock', path: ['processes', process.name], subject: process.name, what: `still waits for ${listed(process.dependencies.filter((d) => !d.met).map((d) => d.name))}`, why: process.reason, since: Date.parse(process.since) })
    }
    if (word.tone !== 'bad' && word.tone !== 'warn') continue
    found.push({ key: `p:${process.name}`, severity: word.tone === 'bad' ? 0 : 1, tone: word.tone, icon: word.icon, path: ['processes', process.name], subject: process.name, what: `process is in ${word.word}`, why: process.reason ?? '', since: process.since ? Date.parse(process.since) : Number.NaN })
  }
  for (const p of sight.providers) {
    if (p.up || !(p.error ?? p.stale)) continue
    const what = p.lastSync ? 'can’t be followed; what it told last is served' : 'can’t be followed'
    found.push({ key: `v:${p.name}`, severity: 1, tone: 'bad', icon: 'octagon', path: ['config'], subject: p.name, what: `provider ${what}`, why: p.stale?.reason ?? p.error ?? '', since: p.stale ? Date.parse(p.stale.since) : Number.NaN })
  }
  return found.sort((a, b) => a.severity - b.severity || order(a.since) - order(b.since) || (a.key < b.key ? -1 : 1))
}

/** The longest first; what has no beginning last. */
function order(since: number): number {
  return Number.isFinite(since) ? since : Number.MAX_SAFE_INTEGER
}

function ofBreaker(name: string, b: BreakerTick, now: number): Matter | null {
  const base = { key: `b:${name}`, path: ['breakers'], subject: name, breaker: name }
  const changed = b.lastTransition ? now - b.lastTransition.ago : Number.NaN
  if (b.forced) {
    const what = b.forced.state === 'open' ? 'breaker is forced open: every call is refused' : 'breaker is forced closed: no failure opens it'
    const until = b.forced.left === undefined ? undefined : now + b.forced.left
    return { ...base, severity: b.forced.state === 'open' ? 1 : 2, tone: 'hold', icon: b.forced.state === 'open' ? 'breaker-open' : 'breaker-closed', what, why: 'an operator asked for it', since: changed, ...(until === undefined ? {} : { until }) }
  }
  const why = b.lastTransition ? causeWord(b.lastTransition.cause) : ''
  if (b.state === 'open') return { ...base, severity: 0, tone: 'bad', icon: 'breaker-open', what: 'breaker is open: calls are refused', why, since: b.openedFor === undefined ? changed : now - b.openedFor }
  if (b.state === 'half_open') return { ...base, severity: 1, tone: 'warn', icon: 'half', what: 'breaker is half-open: probes are let through', why, since: changed }
  return null
}

function ofService(service: Svc, sight: Sight, found: Matter[]): void {
  const { tick, now } = sight
  const { name } = service
  const w = service.wire
  const path = ['services', name]
  const live = tick?.services?.[name]
  if ((live?.rps ?? 0) >= ENOUGH && (live?.errors ?? 0) >= ERRORS && tick?.breakers?.[name]?.state !== 'open') {
    found.push({ key: `e:${name}`, severity: 1, tone: 'warn', icon: 'triangle', path, subject: name, what: `${percent(live?.errors)} of answers are errors`, why: `${rate(live?.rps)} requests a second`, ...erring(sight.errors(name), now) })
  }
  const balance = tick?.instances?.[name]
  if (balance) {
    for (const id in balance) {
      const flags = balance[id]?.[6] ?? 0
      if (!(flags & (SICK | EJECTED))) continue
      const ejected = (flags & EJECTED) !== 0
      found.push({ key: `s:${name}/${id}`, severity: 2, tone: 'warn', icon: ejected ? 'eject' : 'slow', path: [...path, id], subject: id, what: ejected ? 'is ejected after failures in a row' : 'is passed over by the balancer', why: ejected ? 'it comes back by itself' : `${percent(balance[id]?.[3])} failing, ${Math.round(balance[id]?.[2] ?? 0)} ms; it gets trials only`, since: Number.NaN, instance: { service: name, id } })
    }
  }
  // Only a service with somebody out is looked at closely.
  if ((w.status === 'healthy' || w.status === undefined) && (w.routable ?? 0) >= service.total && w.level !== 'panic') return
  const bad: Row[] = []
  const degraded: Row[] = []
  for (const row of service.rows.values()) {
    const word = instanceWord(row.inst)
    if (word.tone === 'bad' || word.icon === 'dashed') bad.push(row)
    else if (word.tone === 'warn') degraded.push(row)
    else if (word.tone === 'hold') found.push(ofOperator(row))
  }
  const routable = w.routable ?? 0
  if (service.total > 0 && routable === 0) {
    const first = bad[0] ?? degraded[0]
    found.push({ key: `n:${name}`, severity: 0, tone: 'bad', icon: 'octagon', path, subject: name, what: `none of ${count(service.total, 'instance')} gets traffic`, why: first ? first.inst.reason : 'all are drained, in maintenance or of weight 0', since: latest(service) })
    return
  }
  if (w.level === 'panic') {
    found.push({ key: `l:${name}`, severity: 0, tone: 'bad', icon: 'octagon', path, subject: name, what: 'panic: too few are healthy, so traffic goes to all', why: bad[0]?.inst.reason ?? '', since: earliest(bad) })
  }
  if (bad.length) found.push(group('u', service, bad, 'unhealthy', 'bad', 'octagon'))
  if (degraded.length) found.push(group('d', service, degraded, 'degraded', 'warn', 'triangle'))
}

/** Since when, without a gap, answers have been errors: as far as two minutes of history tell. */
function erring(shares: readonly number[], now: number): { since: number; atLeast?: boolean } {
  let n = 0
  while (n < shares.length && (shares[shares.length - 1 - n] ?? 0) >= ERRORS) n++
  return n && n === shares.length ? { since: now - n * 1000, atLeast: true } : { since: now - Math.max(1, n) * 1000 }
}

const seen = new Map<string, { at: number; first: boolean }>()
let looked = Number.NEGATIVE_INFINITY
/** Who did not look for so long can't say that nothing changed in between. */
const GAP = 5000

/** Gives what has no known beginning the moment at which it was first seen here; one that comes back begins anew. */
export function watch(found: Matter[], now: number): Matter[] {
  const first = now - looked > GAP
  if (first) seen.clear()
  looked = now
  const here = new Set<string>()
  for (const matter of found) {
    if (Number.isFinite(matter.since)) continue
    here.add(matter.key)
    let mark = seen.get(matter.key)
    if (!mark) {
      mark = { at: now, first }
      seen.set(matter.key, mark)
    }
    matter.since = mark.at
    if (mark.first) matter.atLeast = true
  }
  for (const key of seen.keys()) if (!here.has(key)) seen.delete(key)
  return found
}

function group(key: string, service: Svc, rows: Row[], word: string, tone: Tone, icon: string): Matter {
  const first = rows.reduce((a, b) => (a.inst.since <= b.inst.since ? a : b))
  const one = rows.length === 1
  const path = one ? ['services', service.name, first.id] : ['services', service.name]
  const what = one ? `is ${word}; ${count(service.total, 'instance')} in ${service.name}` : `${rows.length} of ${count(service.total, 'instance')} ${word}: ${listed(rows.map((row) => row.id))}`
  return { key: `${key}:${service.name}`, severity: 1, tone, icon, path, subject: one ? first.id : service.name, what, why: first.inst.reason, since: Date.parse(first.inst.since), ...(one ? { instance: { service: service.name, id: first.id } } : {}) }
}

function ofOperator(row: Row): Matter {
  const o = row.inst.operator
  const mark = o?.maintenance ?? o?.draining ?? o?.weight
  const word = instanceWord(row.inst)
  const what = word.word === 'weight 0' ? 'has weight 0: no requests' : word.word === 'draining' ? 'drains: no new requests' : 'is in maintenance: no requests'
  const why = mark ? `by ${mark.by}${mark.reason ? `: ${mark.reason}` : ''}` : ''
  return { key: `o:${row.service.name}/${row.id}`, severity: 2, tone: 'hold', icon: word.icon, path: ['services', row.service.name, row.id], subject: row.id, what, why, since: mark ? Date.parse(mark.at) : Date.parse(row.inst.since), ...(mark?.until ? { until: Date.parse(mark.until) } : {}), instance: { service: row.service.name, id: row.id } }
}

function earliest(rows: readonly Row[]): number {
  return rows.length ? Math.min(...rows.map((row) => Date.parse(row.inst.since))) : Number.NaN
}

/** When the last instance went. */
function latest(service: Svc): number {
  let at = Number.NaN
  for (const row of service.rows.values()) {
    const since = Date.parse(row.inst.operator?.maintenance?.at ?? row.inst.operator?.draining?.at ?? row.inst.since)
    if (!(at >= since)) at = since
  }
  return at
}
