/**
 * What an operator can do: each act knows the request it makes, the same as a command and as curl, what it would do to
 * the traffic, and how to take it back.
 */
import { authority, cliDuration, count, duration, percent, rate, shell } from '../lib/format'
import { get, segment } from '../lib/api'
import type { BreakerTick, CheckResult, Instance, Process } from '../lib/types'
import { shift, type Change, type Part, type Shift } from './share'
import { breakerConfig, mode, processes, services, tick, type Row } from './store'
import { STRATEGIES, strategyName, type Tone } from './words'

export interface Request {
  method: 'PUT' | 'POST' | 'DELETE'
  path: string
  body?: unknown
}

export interface Values {
  ttl: number | null
  reason: string
  weight: number
  strategy: string
}

export interface Effect {
  text: string
  tone?: Tone
  shifts?: Shift[]
  /** Needs a second yes. */
  grave?: boolean
}

export interface Act {
  key: string
  /** `Drain users-1`. */
  title: string
  verb: string
  tone?: 'danger'
  fields: ('ttl' | 'reason' | 'weight' | 'strategy')[]
  initial?: Partial<Values>
  effect: (values: Values) => Effect
  request: (values: Values) => Request
  cli: (values: Values) => string
  done: (values: Values, answer: unknown) => string
  /** How to take it back, decided before it is done; a text says why that is not possible. */
  undo: (values: Values, before: unknown) => Request | string
  /** What has to be known before it is done, for taking it back. */
  before?: () => Promise<unknown>
  /** Why it can't be done at all. */
  refuse?: () => string | null
}

const note = (v: Values): string => `${v.ttl ? ` --ttl ${cliDuration(v.ttl)}` : ''}${v.reason ? ` --reason ${shell(v.reason)}` : ''}`
const noteBody = (v: Values): { ttl?: number; reason?: string } => ({ ...(v.ttl ? { ttl: v.ttl } : {}), ...(v.reason ? { reason: v.reason } : {}) })
const forTime = (v: Values): string => (v.ttl ? ` for ${duration(v.ttl)}` : '')

function pathOf(row: Row, tail = ''): string {
  return `services/${segment(row.service.name)}/instances/${segment(row.id)}${tail}`
}

function wordsOf(row: Row): string {
  return `${shell(row.service.name)} ${shell(row.id)}`
}

export function partsOf(service: string): Part[] {
  const told = tick.peek()?.instances?.[service]
  return [...(services.get(service)?.rows.values() ?? [])].map((row) => ({
    id: row.id,
    weight: row.inst.weight,
    routable: row.inst.standing === 'routable',
    expected: told?.[row.id]?.[5] ?? null,
  }))
}

/** What taking an instance out leaves to the others. */
function outEffect(row: Row, change: Change, after: string): Effect {
  const parts = partsOf(row.service.name)
  const shifts = shift(parts, change)
  const mine = shifts.find((s) => s.id === row.id)
  const left = shifts.filter((s) => s.after > 0).length
  const rps = tick.peek()?.services?.[row.service.name]?.rps ?? 0
  if (row.inst.standing !== 'routable') return { text: `It gets no traffic now. ${after}`, shifts }
  if (left === 0) {
    return { text: `No instance of ${row.service.name} would be left: its ${rate(rps)} requests a second would be answered with 503. ${after}`, tone: 'bad', shifts, grave: true }
  }
  const others = shifts.filter((s) => s.id !== row.id && s.after > 0)
  const most = Math.max(...others.map((s) => s.after))
  return { text: `Its ${percent(mine?.before)} of the traffic${rps ? ` (${rate(rps * (mine?.before ?? 0))} req/s)` : ''} goes to ${count(left, 'other')}, which then get up to ${percent(most)} each. ${after}`, shifts }
}

function inEffect(row: Row, text: string): Effect {
  const healthy = row.inst.status !== 'unhealthy'
  if (!healthy) return { text: `${text} It stays without traffic until a check passes: ${row.inst.reason}` }
  const shifts = shift(partsOf(row.service.name), { id: row.id, in: true })
  return { text: `${text} It gets ${percent(shifts.find((s) => s.id === row.id)?.after)} of the traffic again, after a slow start where the strategy has one.`, shifts }
}

export function drain(row: Row): Act {
  return {
    key: 'drain',
    title: `Drain ${row.id}`,
    verb: 'Drain',
    fields: ['ttl', 'reason'],
    effect: (v) => outEffect(row, { id: row.id, out: true }, `Requests in flight finish; new ones go elsewhere${forTime(v) || ' until it is undrained'}.`),
    request: (v) => ({ method: 'PUT', path: pathOf(row, '/drain'), body: noteBody(v) }),
    cli: (v) => `ellie drain ${wordsOf(row)}${note(v)}`,
    done: (v) => `${row.id} drains${forTime(v)}`,
    undo: () => ({ method: 'PUT', path: pathOf(row, '/undrain'), body: {} }),
  }
}

export function undrain(row: Row): Act {
  const mark = row.inst.operator?.draining
  return {
    key: 'undrain',
    title: `Undrain ${row.id}`,
    verb: 'Undrain',
    fields: [],
    effect: () => inEffect(row, 'It takes new requests again.'),
    request: () => ({ method: 'PUT', path: pathOf(row, '/undrain'), body: {} }),
    cli: () => `ellie undrain ${wordsOf(row)}`,
    done: () => `${row.id} takes requests again`,
    undo: () => ({ method: 'PUT', path: pathOf(row, '/drain'), body: rest(mark) }),
  }
}

/** What is left of a mark that is set again. */
function rest(mark: { reason?: string; until?: string } | undefined): { ttl?: number; reason?: string } {
  const left = mark?.until ? Date.parse(mark.until) - Date.now() : 0
  return { ...(left > 0 ? { ttl: left } : {}), ...(mark?.reason ? { reason: mark.reason } : {}) }
}

export function maintenance(row: Row): Act {
  return {
    key: 'maintenance',
    title: `Maintenance of ${row.id}`,
    verb: 'Start maintenance',
    fields: ['ttl', 'reason'],
    initial: { ttl: 900_000 },
    effect: (v) => outEffect(row, { id: row.id, out: true }, v.ttl ? `It comes back by itself after ${duration(v.ttl)}.` : 'It stays out until somebody ends it.'),
    request: (v) => ({ method: 'PUT', path: pathOf(row, '/maintenance'), body: { enabled: true, ...noteBody(v) } }),
    cli: (v) => `ellie maintenance ${wordsOf(row)}${note(v)}`,
    done: (v) => `${row.id} is in maintenance${forTime(v)}`,
    undo: () => ({ method: 'PUT', path: pathOf(row, '/maintenance'), body: { enabled: false } }),
  }
}

export function endMaintenance(row: Row): Act {
  const mark = row.inst.operator?.maintenance
  return {
    key: 'end-maintenance',
    title: `End maintenance of ${row.id}`,
    verb: 'End maintenance',
    fields: [],
    effect: () => inEffect(row, 'It is taken back into service.'),
    request: () => ({ method: 'PUT', path: pathOf(row, '/maintenance'), body: { enabled: false } }),
    cli: () => `ellie maintenance ${wordsOf(row)} --off`,
    done: () => `${row.id} is back from maintenance`,
    undo: () => ({ method: 'PUT', path: pathOf(row, '/maintenance'), body: { enabled: true, ...rest(mark) } }),
  }
}

export function weight(row: Row): Act {
  const before = row.inst.weight
  const registered = row.inst.registeredWeight ?? before
  const mark = row.inst.operator?.weight
  return {
    key: 'weight',
    title: `Weight of ${row.id}`,
    verb: 'Set weight',
    fields: ['weight', 'ttl', 'reason'],
    initial: { weight: before },
    effect: (v) => {
      if (v.weight === 0) return outEffect(row, { id: row.id, out: true }, `Weight 0 keeps it registered and checked, without traffic${forTime(v)}.`)
      const shifts = shift(partsOf(row.service.name), { id: row.id, weight: v.weight })
      const mine = shifts.find((s) => s.id === row.id)
      return { text: `Weight ${before} → ${v.weight}${forTime(v)} (registered with ${registered}): ${percent(mine?.before)} → ${percent(mine?.after)} of the traffic.`, shifts }
    },
    request: (v) => ({ method: 'PUT', path: pathOf(row, '/weight'), body: { weight: v.weight, ...noteBody(v) } }),
    cli: (v) => `ellie weight ${wordsOf(row)} ${v.weight}${note(v)}`,
    done: (v) => `${row.id} has weight ${v.weight}${forTime(v)}`,
    undo: () => ({ method: 'PUT', path: pathOf(row, '/weight'), body: mark ? { weight: before, ...rest(mark) } : { weight: null } }),
  }
}

export function deregister(row: Row): Act {
  return {
    key: 'deregister',
    title: `Deregister ${row.id}`,
    verb: 'Deregister',
    tone: 'danger',
    fields: [],
    effect: () => {
      const source = row.inst.source ?? 'api'
      const back = source === 'api' ? 'Should it renew a lease, it is told to register again.' : `It came from ${source}, which may bring it back.`
      return outEffect(row, { id: row.id, out: true }, `It is forgotten, with its operator states. ${back}`)
    },
    request: () => ({ method: 'DELETE', path: pathOf(row) }),
    cli: () => `ellie deregister ${wordsOf(row)}`,
    done: () => `${row.service.name} ${row.id} is deregistered`,
    before: () => get<Instance>(pathOf(row)),
    undo: (_, before) => (before ? { method: 'POST', path: 'services', body: registration(before as Instance) } : 'It is registered again with what it was registered with; operator states are not.'),
  }
}

/** The registration that an instance came from. */
export function registration(i: Instance): Record<string, unknown> {
  const check = Object.fromEntries(Object.entries(i.healthCheck ?? {}).filter(([, value]) => value !== undefined && value !== null))
  const body: Record<string, unknown> = {
    id: i.id,
    name: i.name,
    version: i.version,
    host: i.host,
    port: i.port,
    protocol: i.protocol,
    healthEndpoint: i.healthEndpoint,
    tags: i.tags,
    dependencies: i.dependencies,
    metadata: i.metadata,
    weight: i.registeredWeight ?? i.weight,
    ttl: i.ttl,
    zone: i.zone,
    healthCheck: Object.keys(check).length ? check : undefined,
  }
  for (const key of Object.keys(body)) if (body[key] === undefined || body[key] === null) delete body[key]
  return body
}

export function checkNow(row: Row): Act {
  const kind = row.inst.check ?? 'http'
  return {
    key: 'check',
    title: `Check ${row.id} now`,
    verb: 'Check now',
    fields: [],
    effect: () => ({ text: `One ${kind} probe is sent to ${authority(row.inst.host, row.inst.port)} beside the schedule. Its result counts as any other: thresholds hold.` }),
    request: () => ({ method: 'PUT', path: pathOf(row, '/check'), body: {} }),
    cli: () => `ellie check ${wordsOf(row)}`,
    done: (_, answer) => {
      const result = answer as Partial<CheckResult> | undefined
      return result?.verdict ? `${row.id} is ${result.verdict}: ${result.output ?? ''}` : `${row.id} was checked`
    },
    undo: () => 'A check changes nothing that could be taken back.',
    refuse: () => (kind === 'none' || kind === 'ttl' ? `It has no active check (${kind}): ellie has nothing to ask.` : null),
  }
}

export function breakerOf(name: string): BreakerTick {
  return tick.value?.breakers?.[name] ?? { state: 'closed', failures: 0, calls: 0, failureRate: 0 }
}

function force(name: string, to: 'open' | 'close'): Act {
  const path = (verb: string): string => `breakers/${segment(name)}/${verb}`
  const before = breakerOf(name)
  const rps = tick.peek()?.services?.[name]?.rps ?? 0
  const back = before.forced
  return {
    key: `force-${to}`,
    title: `Force the breaker ${name} ${to === 'open' ? 'open' : 'closed'}`,
    verb: to === 'open' ? 'Force open' : 'Force closed',
    ...(to === 'open' ? { tone: 'danger' as const } : {}),
    fields: ['ttl', 'reason'],
    initial: { ttl: 300_000 },
    effect: (v) => {
      const end = v.ttl ? `It goes back to judging by itself after ${duration(v.ttl)}.` : 'It stays so until it is reset.'
      return to === 'open'
        ? { text: `Every call to ${name} is refused at once with 503: ${rate(rps)} requests a second now. ${end}`, tone: 'bad', grave: rps > 0 }
        : { text: `Every call to ${name} goes through, however many fail. ${end}`, tone: 'warn' }
    },
    request: (v) => ({ method: 'PUT', path: path(`force-${to}`), body: noteBody(v) }),
    cli: (v) => `ellie breakers force-${to} ${shell(name)}${note(v)}`,
    done: (v) => `The breaker ${name} is forced ${to === 'open' ? 'open' : 'closed'}${forTime(v)}`,
    undo: () => (back ? { method: 'PUT', path: path(back.state === 'open' ? 'force-open' : 'force-close'), body: back.left ? { ttl: back.left } : {} } : { method: 'PUT', path: path('reset') }),
  }
}

export const forceOpen = (name: string): Act => force(name, 'open')
export const forceClose = (name: string): Act => force(name, 'close')

export function resetBreaker(name: string): Act {
  const before = breakerOf(name)
  const path = (verb: string): string => `breakers/${segment(name)}/${verb}`
  return {
    key: 'reset',
    title: `Reset the breaker ${name}`,
    verb: 'Reset',
    fields: [],
    effect: () => {
      const config = before.config ?? breakerConfig.peek()
      const again = config ? ` It opens again after ${count(config.failureThreshold, 'failure')} in ${duration(config.monitoringPeriod)}.` : ''
      return { text: `It is closed and its window is cleared (${count(before.failures, 'failure')} of ${count(before.calls, 'call')} now).${again}` }
    },
    request: () => ({ method: 'PUT', path: path('reset') }),
    cli: () => `ellie breakers reset ${shell(name)}`,
    done: () => `The breaker ${name} is reset`,
    undo: () => (before.forced ? { method: 'PUT', path: path(before.forced.state === 'open' ? 'force-open' : 'force-close'), body: before.forced.left ? { ttl: before.forced.left } : {} } : 'A cleared window can’t be filled again.'),
  }
}

/** The strategy of a service, or of all that have none of their own. */
export function strategy(service: string | null, wanted?: string): Act {
  const global = mode.peek().strategy ?? 'health_based'
  const own = service ? services.get(service)?.wire : undefined
  const before = own?.strategy ?? global
  const body = (value: string | null): Record<string, unknown> => ({ strategy: value, ...(service ? { service } : {}) })
  return {
    key: 'strategy',
    title: service ? `Strategy of ${service}` : 'Strategy of all services',
    verb: 'Switch',
    fields: ['strategy'],
    initial: { strategy: wanted ?? before },
    effect: (v) => {
      if (v.strategy === before) return { text: `${strategyName(before)} is in force already.` }
      const about = STRATEGIES[v.strategy]?.about ?? ''
      if (!service) {
        const others = [...services.values()].filter((s) => s.wire.ownStrategy).length
        return { text: `${strategyName(before)} → ${strategyName(v.strategy)} for every service without a strategy of its own${others ? ` (${count(others, 'service')} keep theirs)` : ''}. ${about} Breakers, latencies and requests in flight are kept.` }
      }
      const parts = partsOf(service)
      const sum = parts.reduce((a, p) => a + (p.routable ? p.weight : 0), 0)
      const shifts = parts.map((p) => ({ id: p.id, before: p.expected ?? (p.routable && sum ? p.weight / sum : 0), after: p.routable && sum ? p.weight / sum : 0 }))
      return { text: `${strategyName(before)} → ${strategyName(v.strategy)}. ${about} Breakers, latencies and requests in flight are kept.`, ...(v.strategy === 'health_based' ? {} : { shifts }) }
    },
    request: (v) => ({ method: 'PUT', path: 'load-balancer/strategy', body: body(v.strategy) }),
    cli: (v) => `ellie strategy ${v.strategy}${service ? ` --service ${shell(service)}` : ''}`,
    done: (v) => `${service ?? 'All services'}: ${strategyName(v.strategy)}`,
    undo: () => ({ method: 'PUT', path: 'load-balancer/strategy', body: body(service && !own?.ownStrategy ? null : before) }),
  }
}

export function reload(file?: string): Act {
  return {
    key: 'reload',
    title: 'Reload the configuration',
    verb: 'Reload',
    fields: [],
    effect: () => ({ text: `${file ?? 'The configuration file'} is read again, checked as a whole, and what changed is put in force. A fault in it changes nothing and is told here. Breakers, latencies and requests in flight are kept; keys marked “restart” wait for the next start.` }),
    request: () => ({ method: 'PUT', path: 'reload' }),
    cli: () => 'ellie reload',
    done: (_, answer) => {
      const { changed = [], restart = [] } = (answer ?? {}) as { changed?: string[]; restart?: string[] }
      return `${changed.length ? `Reloaded: ${changed.join('; ')}` : 'Reloaded: nothing changed'}${restart.length ? `. Waits for a restart: ${restart.join('; ')}` : ''}`
    },
    undo: () => 'The file is the source: change it back and reload.',
  }
}

export function processAct(process: Process, verb: 'start' | 'stop' | 'restart'): Act {
  const word = verb[0]?.toUpperCase() + verb.slice(1)
  const rests = ['stopped', 'completed', 'failed'].includes(process.state)
  return {
    key: `process-${verb}`,
    title: `${word} ${process.name}`,
    verb: word,
    ...(verb === 'stop' ? { tone: 'danger' as const } : {}),
    fields: [],
    effect: () => {
      if (verb === 'start') return { text: 'It starts as soon as what it depends on is so far, and gets traffic when it is ready.' }
      const how = 'It is drained, deregistered and told to end; what is left of it at its deadline is killed.'
      const on = (processes.peek() ?? []).filter((p) => p.dependencies.some((d) => d.name === process.process)).map((p) => p.name)
      const after = on.length ? ` ${on.join(', ')} ${on.length === 1 ? 'depends' : 'depend'} on it.` : ' No other process depends on it.'
      const back = verb === 'restart' ? ' Then it is started again.' : ''
      const row = [...services.values()].map((s) => s.rows.get(process.name)).find((row) => row?.inst.source === 'process')
      return row ? outEffect(row, { id: row.id, out: true }, `${how}${back}${after}`) : { text: `${how}${back}${after}` }
    },
    request: () => ({ method: 'PUT', path: `processes/${segment(process.name)}/${verb}`, body: {} }),
    cli: () => `ellie ${verb} ${shell(process.name)}`,
    done: () => `${process.name}: ${verb} asked for`,
    undo: () => (verb === 'restart' ? 'A restart can’t be taken back.' : { method: 'PUT', path: `processes/${segment(process.name)}/${verb === 'start' ? 'stop' : 'start'}`, body: {} }),
    refuse: () => (verb === 'start' ? (rests ? null : 'It is wanted already.') : rests ? 'It does not run.' : null),
  }
}

/** Orders to all processes. */
export function processActs(): Act[] {
  const act = (verb: 'start' | 'stop' | 'restart', text: string): Act => ({
    key: `process-${verb}`,
    title: `${verb[0]?.toUpperCase()}${verb.slice(1)} all processes`,
    verb: `${verb[0]?.toUpperCase()}${verb.slice(1)} all`,
    ...(verb === 'stop' ? { tone: 'danger' as const } : {}),
    fields: [],
    effect: () => ({ text, ...(verb === 'start' ? {} : { tone: 'bad' as const, grave: true }) }),
    request: () => ({ method: 'PUT', path: `processes/-/${verb}`, body: {} }),
    cli: () => `ellie ${verb} --all`,
    done: () => `${verb} of all processes asked for`,
    undo: () => (verb === 'restart' ? 'A restart can’t be taken back.' : { method: 'PUT', path: `processes/-/${verb === 'start' ? 'stop' : 'start'}`, body: {} }),
  })
  const rest = (processes.peek() ?? []).filter((p) => ['stopped', 'failed'].includes(p.state)).length
  const acts = [act('restart', 'Every process is drained, told to end and started again; its service has no instance meanwhile.'), act('stop', 'All end in order, dependents first; their services have no instance until they are started again. The server goes on.')]
  return rest > 0 ? [act('start', `What does not run (${count(rest, 'process', 'processes')}) starts in order.`), ...acts] : acts
}

/** The request as curl; the token stays a variable. */
export function curl(request: Request): string {
  const root = mode.peek().api ? `http://${mode.peek().api}/` : new URL('../api/', document.baseURI).href
  const body = request.body === undefined || (typeof request.body === 'object' && request.body && Object.keys(request.body).length === 0) ? '' : ` -H 'Content-Type: application/json' -d ${shell(JSON.stringify(request.body))}`
  return `curl -X ${request.method} -H "Authorization: Bearer $ELLIE_TOKEN"${body} ${shell(root + request.path)}`
}

/** What can be done with an instance in its state, the likeliest first. */
export function actsOf(row: Row): Act[] {
  const o = row.inst.operator
  return [o?.draining ? undrain(row) : drain(row), o?.maintenance ? endMaintenance(row) : maintenance(row), weight(row), checkNow(row), deregister(row)]
}

export function breakerActs(name: string): Act[] {
  return [forceOpen(name), forceClose(name), resetBreaker(name)]
}
