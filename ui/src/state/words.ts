/** One word, one tone and one icon for each state: colour is never the only sign. */
import type { BreakerStateName, InstanceWire, Status } from '../lib/types'

export type Tone = 'ok' | 'warn' | 'bad' | 'hold' | 'idle' | 'info'

export interface Word {
  word: string
  tone: Tone
  icon: string
  /** For sorting: the worst first. */
  rank: number
}

const WORDS = {
  unhealthy: { word: 'unhealthy', tone: 'bad', icon: 'octagon', rank: 0 },
  awaiting: { word: 'awaiting check', tone: 'idle', icon: 'dashed', rank: 1 },
  noHeartbeat: { word: 'no heartbeat yet', tone: 'idle', icon: 'dashed', rank: 1 },
  degraded: { word: 'degraded', tone: 'warn', icon: 'triangle', rank: 2 },
  standby: { word: 'standby', tone: 'warn', icon: 'triangle', rank: 2 },
  maintenance: { word: 'maintenance', tone: 'hold', icon: 'wrench', rank: 3 },
  draining: { word: 'draining', tone: 'hold', icon: 'drain', rank: 4 },
  weightZero: { word: 'weight 0', tone: 'hold', icon: 'slash', rank: 5 },
  healthy: { word: 'healthy', tone: 'ok', icon: 'check', rank: 6 },
} satisfies Record<string, Word>

const AWAITING = 'awaiting first'

/** An instance's state as an operator would say it: what keeps it from traffic comes first. */
export function instanceWord(i: Pick<InstanceWire, 'status' | 'standing' | 'reason' | 'operator'>): Word {
  if (i.operator?.maintenance || i.standing === 'maintenance') return WORDS.maintenance
  if (i.operator?.draining || i.standing === 'draining') return WORDS.draining
  if (i.status === 'unhealthy') {
    if (!i.reason.startsWith(AWAITING)) return WORDS.unhealthy
    return i.reason.includes('heartbeat') ? WORDS.noHeartbeat : WORDS.awaiting
  }
  if (i.standing === 'weight-zero') return WORDS.weightZero
  if (i.standing === 'degraded-standby') return WORDS.standby
  return i.status === 'degraded' ? WORDS.degraded : WORDS.healthy
}

export function statusWord(status: Status | undefined): Word {
  return status ? WORDS[status] : WORDS.awaiting
}

export function breakerWord(state: BreakerStateName, forced?: { state: BreakerStateName }): Word {
  if (forced?.state === 'open') return { word: 'forced open', tone: 'hold', icon: 'breaker-open', rank: 2 }
  if (forced) return { word: 'forced closed', tone: 'hold', icon: 'breaker-closed', rank: 3 }
  if (state === 'open') return { word: 'open', tone: 'bad', icon: 'breaker-open', rank: 0 }
  if (state === 'half_open') return { word: 'half-open', tone: 'warn', icon: 'half', rank: 1 }
  return { word: 'closed', tone: 'ok', icon: 'breaker-closed', rank: 4 }
}

export function processWord(state: string): Word {
  const word = state.replaceAll(/[_-]/g, ' ')
  const known: Record<string, [Tone, string, number]> = {
    ready: ['ok', 'check', 6],
    completed: ['ok', 'check', 7],
    starting: ['info', 'dashed', 3],
    waiting: ['idle', 'clock', 4],
    draining: ['hold', 'drain', 3],
    stopping: ['hold', 'drain', 3],
    stopped: ['idle', 'stop', 6],
    backoff: ['warn', 'clock', 1],
    failed: ['bad', 'octagon', 0],
    'crash loop': ['bad', 'octagon', 0],
  }
  const [tone, icon, rank] = known[word] ?? ['info', 'dashed', 4]
  return { word, tone, icon, rank }
}

/** What an event is about, for its sign in lists and on the strip. */
export function eventWord(kind: string, message: string): Word {
  const make = (tone: Tone, icon: string): Word => ({ word: kind.replaceAll('-', ' '), tone, icon, rank: 0 })
  switch (kind) {
    case 'registered':
      return make('info', 'plus')
    case 'replaced':
      return make('info', 'refresh')
    case 'deregistered':
      return make('idle', 'minus')
    case 'lease-expired':
      return make('warn', 'clock')
    case 'expiry-paused':
      return make('bad', 'pause')
    case 'expiry-resumed':
      return make('ok', 'play')
    case 'status-changed':
      if (/→ unhealthy\b/.test(message)) return make('bad', 'octagon')
      return /→ degraded\b/.test(message) ? make('warn', 'triangle') : make('ok', 'check')
    case 'operator-changed':
      return make('hold', 'person')
    case 'breaker-changed':
      if (/\bto open\b/.test(message)) return make('bad', 'breaker-open')
      return /\bto half.open\b/.test(message) ? make('warn', 'half') : make('ok', 'breaker-closed')
    case 'instance-ejected':
      return make('warn', 'eject')
    case 'process-changed':
      if (/\bfail|crash|killed|gave up|not ready/i.test(message)) return make('bad', 'octagon')
      if (/\bready$|^completed/.test(message)) return make('ok', 'check')
      return /\bstop|\bdrain/.test(message) ? make('hold', 'stop') : make('info', 'play')
    case 'source-stale':
      return make('warn', 'clock')
    case 'source-fresh':
      return make('ok', 'check')
    case 'config-rejected':
      return make('bad', 'sliders')
    case 'config-reloaded':
      return make('ok', 'sliders')
    case 'started':
      return make('info', 'play')
    case 'stopping':
      return make('idle', 'stop')
    case 'strategy-changed':
    case 'route-changed':
      return make('info', 'sliders')
    default:
      return make('info', 'dot')
  }
}

export const STRATEGIES: Record<string, { name: string; about: string }> = {
  health_based: { name: 'Health based', about: 'Sends less to what is slow or failing, as measured by live requests; a sick instance gets trials only.' },
  round_robin: { name: 'Round robin', about: 'One after the other; weights are interleaved smoothly.' },
  weighted_round_robin: { name: 'Weighted round robin', about: 'Turns in proportion to weight.' },
  least_connections: { name: 'Least connections', about: 'The one with the fewest requests in flight for its weight.' },
  random: { name: 'Random', about: 'By chance, in proportion to weight.' },
}

export function strategyName(strategy: string | undefined): string {
  return (strategy && STRATEGIES[strategy]?.name) || strategy || '–'
}

/** The screen of what an event is about. */
export function eventPath(event: { kind: string; service?: string; instance?: string }): string[] {
  if (event.kind === 'route-changed') return ['gateway']
  if (event.kind === 'process-changed') return ['processes', event.service ?? '']
  return event.instance ? ['services', event.service ?? '', event.instance] : ['services', event.service ?? '']
}

/** Why a breaker changed, in words. */
export function causeWord(cause: string): string {
  const words: Record<string, string> = {
    failure_threshold: 'too many calls failed',
    probe_failed: 'a probe failed',
    probes_succeeded: 'enough probes succeeded',
    recovery_elapsed: 'the recovery timeout was over',
    forced_open: 'forced open',
    forced_closed: 'forced closed',
    force_lapsed: 'the forced state ended',
    reset: 'reset',
  }
  return words[cause] ?? cause.replaceAll('_', ' ')
}
