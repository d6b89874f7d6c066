/** The last two minutes and the last half hour, for sparklines: loaded once, then carried on by the ticks. */
import { signal } from '@preact/signals'
import type { History, Series, Tick } from '../lib/types'
import { Ring } from './ring'

const FINE = 120
const COARSE = 180
const STATES = { closed: 0, half_open: 1, open: 2 } as const

export class Track {
  rps: Ring
  errors: Ring
  p95: Ring
  state: Ring

  constructor(size: number) {
    this.rps = new Ring(size)
    this.errors = new Ring(size)
    this.p95 = new Ring(size)
    this.state = new Ring(size)
  }

  fill(series: Series | undefined): void {
    this.rps.fill(series?.rps)
    this.errors.fill(series?.errors)
    this.p95.fill(series?.p95)
    this.state.fill(series?.state)
  }

  push(rps: number | undefined, errors: number | undefined, p95: number | null | undefined, state: number): void {
    this.rps.push(rps ?? 0)
    this.errors.push(errors ?? 0)
    this.p95.push(p95)
    this.state.push(state)
  }
}

export const total = new Track(FINE)
export const totalCoarse = new Track(COARSE)
const tracks = new Map<string, Track>()
/** Grows when the past was loaded. */
export const loaded = signal(0)
let sinceCoarse: { rps: number; failed: number; p95: number; n: number } = { rps: 0, failed: 0, p95: 0, n: 0 }

/** Two minutes of a service; empty where it had no traffic. */
export function track(service: string): Track | undefined {
  return tracks.get(service)
}

export function fillHistory(history: History): void {
  total.fill(history.total?.fine)
  totalCoarse.fill(history.total?.coarse)
  tracks.clear()
  for (const [name, spans] of Object.entries(history.services ?? {})) {
    const own = new Track(FINE)
    own.fill(spans.fine)
    tracks.set(name, own)
  }
  loaded.value++
}

export function historyTick(tick: Tick): void {
  total.push(tick.rps, tick.errors, tick.p95, 0)
  const s = sinceCoarse
  s.rps += tick.rps ?? 0
  s.failed += (tick.rps ?? 0) * (tick.errors ?? 0)
  s.p95 = Math.max(s.p95, tick.p95 ?? 0)
  if (++s.n === 10) {
    totalCoarse.push(s.rps / 10, s.rps ? s.failed / s.rps : 0, s.p95 || null, 0)
    sinceCoarse = { rps: 0, failed: 0, p95: 0, n: 0 }
  }
  for (const name in tick.services) {
    if (tracks.has(name)) continue
    const own = new Track(FINE)
    // The shortest past that still draws: a line begins where the traffic did.
    own.push(0, 0, null, 0)
    tracks.set(name, own)
  }
  for (const [name, own] of tracks) {
    const t = tick.services?.[name]
    own.push(t?.rps, t?.errors, t?.p95, STATES[tick.breakers?.[name]?.state ?? 'closed'])
  }
}
