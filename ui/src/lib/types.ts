/** What goes over the wire. Fields that the server may leave out are optional. */

export type Status = 'healthy' | 'degraded' | 'unhealthy'

export interface Mark {
  by: string
  reason?: string
  at: string
  until?: string
}

export interface HealthCheck {
  type?: string
  path?: string
  interval?: number
  timeout?: number
  successThreshold?: number
  failureThreshold?: number
}

export interface CheckResult {
  at: string
  tookMs: number
  verdict: Status
  output: string
  code?: number
  body?: {
    status?: Status
    uptime?: number
    version?: string
    memory?: { used: number; total: number; percentage: number }
    dependencies?: Record<string, boolean>
  }
}

export interface Transition {
  from: Status
  to: Status
  reason: string
  at: string
}

export interface Instance {
  id: string
  name: string
  version?: string
  host: string
  port: number
  protocol?: string
  healthEndpoint?: string
  tags?: string[]
  dependencies?: string[]
  metadata?: Record<string, string>
  weight: number
  registeredWeight?: number
  ttl?: number
  zone?: string
  healthCheck?: HealthCheck
  status: Status
  reason: string
  since: string
  standing: string
  operator?: { draining?: Mark; maintenance?: Mark; weight?: Mark & { weight: number } }
  source?: string
  registeredAt?: string
  incarnation?: number
  lease?: { ttl: number; expiresAt?: string; renewedAt?: string }
  lastCheck?: CheckResult
  consecutiveFailures?: number
  checks?: number
  transitions?: Transition[]
  createdIndex?: number
  modifiedIndex?: number
}

/** A service as the stream tells it; in a delta `instances` holds only the changed ones, and `removed` the ids that are gone. */
export interface ServiceWire {
  status?: Status
  level?: string
  strategy?: string
  ownStrategy?: boolean
  healthy?: number
  degraded?: number
  unhealthy?: number
  routable?: number
  total?: number
  dependencies?: string[]
  instances?: Record<string, InstanceWire>
  removed?: string[]
}

/** An instance as the stream tells it: what a list shows. */
export interface InstanceWire {
  host: string
  port: number
  protocol?: string
  version?: string
  tags?: string[]
  zone?: string
  weight: number
  registeredWeight?: number
  status: Status
  standing: string
  reason: string
  since: string
  check?: string
  source?: string
  index?: number
  operator?: { draining?: Mark; maintenance?: Mark; weight?: Mark & { weight: number } }
}

export type BreakerStateName = 'closed' | 'open' | 'half_open'

export interface BreakerConfig {
  failureThreshold: number
  recoveryTimeout: number
  successThreshold: number
  timeout: number
  monitoringPeriod: number
  minimumFailureRate: number
}

export interface BreakerTransition {
  from: BreakerStateName
  to: BreakerStateName
  cause: string
  ago: number
}

/** A breaker as the API tells it. */
export interface Breaker {
  name?: string
  state: BreakerStateName
  forced?: { state: BreakerStateName; left?: number }
  failures: number
  successes: number
  calls: number
  failureRate: number
  probesInFlight: number
  probeSuccesses: number
  retryIn?: number
  openedFor?: number
  totals: { succeeded: number; failed: number; ignored: number; rejected: number; stale: number; opened: number }
  lastTransition?: BreakerTransition
  config: BreakerConfig
}

/** A breaker as a tick tells it; one that is not told is closed and has no failures. */
export interface BreakerTick {
  state: BreakerStateName
  forced?: { state: BreakerStateName; left?: number }
  failures: number
  calls: number
  failureRate: number
  retryIn?: number
  openedFor?: number
  /** Totals since the server started. */
  rejected?: number
  opened?: number
  probesInFlight?: number
  probeSuccesses?: number
  lastTransition?: BreakerTransition
  config?: BreakerConfig
}

export interface Route {
  id: string
  path: string
  method?: string | string[]
  host?: string
  headers?: Record<string, string | null>
  query?: Record<string, string | null>
  serviceName: string
  targetPath?: string
  tags?: string[]
  timeout?: number
  retries?: number
  rateLimit?: { windowMs: number; max: number; key?: string }
  maxBody?: number
  source?: string
  createdAt?: string
}

export interface Process {
  /** A replica's own; `process` is that of its definition. */
  name: string
  process: string
  external: boolean
  state: string
  reason: string
  since: string
  pid?: number
  port?: number
  restarts: number
  failures: number
  lastExit?: { code?: number; signal?: number; left: number }
  retryIn?: number
  times: { asked?: string; unblocked?: string; blocker?: string; started?: string; ready?: string; ended?: string }
  dependencies: { name: string; condition: string; met: boolean }[]
}

export interface Provider {
  name: string
  endpoint: string
  up: boolean
  error?: string
  lastSync?: string
  syncs: number
  failures: number
  instances: number
  stale?: { since: string; reason: string }
  noteCount: number
  notes?: { severity: string; subject: string; id: string; service?: string; message: string }[]
}

export interface JournalEvent {
  id: number
  at: string
  kind: string
  service?: string
  instance?: string
  actor: string
  message: string
}

export interface Mode {
  version?: string
  startedAt?: string
  store?: string
  discoveryEnabled?: boolean
  readsProtected?: boolean
  api?: string
  gateway?: string
  dashboard?: string
  strategy?: string
  panicThreshold?: number
  expiryPaused?: string
  configRejected?: { at: string; message: string }
}

export interface Snapshot {
  index: number
  at: string
  mode?: Mode
  services?: Record<string, ServiceWire>
  routes?: Route[]
  breakerConfig?: BreakerConfig
  processes?: Process[]
  providers?: Provider[]
  lastEventId?: number
}

export interface Delta extends Partial<Omit<Snapshot, 'index' | 'at'>> {
  index: number
  at: string
  /** Services that are gone. */
  removed?: string[]
  events?: JournalEvent[]
  eventsSkipped?: number
}

export interface ServiceTick {
  rps?: number
  /** Share of answers that are errors, 0 to 1. */
  errors?: number
  p95?: number | null
  inFlight?: number
}

export interface RouteTick {
  rps?: number
  errors?: number
  p50?: number | null
  p95?: number | null
  p99?: number | null
  inFlight?: number
  limited?: number
  retries?: number
}

/** `[rps, inFlight, ewmaMs, failing, share, expected, flags]`. */
export type InstanceTick = [number, number, number | null, number, number | null, number | null, number]
export const SICK = 1
export const EJECTED = 2
export const RAMPING = 4

export interface Tick extends RouteTick {
  at: string
  connections?: number
  checks?: { scheduled: number; inFlight: number; perSecond: number; failedPerSecond: number }
  memory?: number
  services?: Record<string, ServiceTick>
  instances?: Record<string, Record<string, InstanceTick>>
  routes?: Record<string, RouteTick>
  breakers?: Record<string, BreakerTick>
}

export type Points = (number | null)[]
export interface Series {
  rps?: Points
  errors?: Points
  p95?: Points
  /** 0 closed, 1 half-open, 2 open. */
  state?: Points
}
export interface Spans {
  fine: Series
  coarse: Series
}

export interface History {
  at: string
  fine: { step: number; points?: number }
  coarse: { step: number; points?: number }
  total?: Spans
  services?: Record<string, Spans>
  events?: JournalEvent[]
  eventsSkipped?: number
}

export type FindingLevel = 'ok' | 'info' | 'warning' | 'problem'

export interface Finding {
  level: FindingLevel
  topic: string
  text: string
  details?: string[]
}

export interface Report {
  service: string
  instance?: string
  verdict: string
  routable: boolean
  findings: Finding[]
  instances?: { id: string; address: string; status: Status; standing: string; routable: boolean; findings: Finding[] }[]
  try?: string[]
}

export interface Candidate {
  id: string
  address: string
  status: Status
  standing: string
  picked: boolean
  reason: string
  weight: number
  score?: {
    cost: number
    share: number
    inFlight: number
    latencyMs?: number | null
    relativeLatency: number
    failureRate: number
    sick: boolean
    ramp: number
    retryInMs?: number
  }
}

export interface Resolved {
  service: string
  strategy: string
  level: string
  instance?: Instance | null
  candidates: Candidate[]
}

export interface InstanceBalance {
  inFlight: number
  successes: number
  failures: number
  timeouts: number
  cancelled: number
  latencyMs?: number
  failureRate: number
  ejectedFor?: number
}

/** What the pages of a service and of an instance ask for; a service's has neither `instance` nor `check`. */
export interface DetailPage {
  index: number
  instance?: Instance
  why: Report
  check?: HealthCheck & { url?: string }
  resolve?: Resolved
  balance?: Record<string, InstanceBalance>
  breaker?: Breaker
  routes?: Route[]
  events?: JournalEvent[]
  lastChecks?: Record<string, CheckResult>
}

export interface ConfigItem {
  key: string
  value?: string
  origin: { kind: string; text?: string; file?: string; line?: number; name?: string }
  restart?: boolean
}

export interface ConfigPage {
  file?: string
  loadedAt?: string
  items: ConfigItem[]
  pending?: { key: string; from?: string; to?: string }[]
  services?: { name: string; id?: string; address?: string }[]
  routes?: string[]
  warnings?: string[]
  reloadable?: boolean
}

export interface RouteTestResult {
  outcome: string
  verdict: string
  path?: string
  route?: Route
  target?: string
  allow?: string
  considered?: { id: string; path: string; verdict: string; text: string }[]
  resolve?: Resolved
  breaker?: Breaker
}

export interface Problem {
  type?: string
  title?: string
  status?: number
  detail?: string
  errors?: { field: string; message: string }[]
}
