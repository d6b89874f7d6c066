/** Numbers, durations and times as text. Everything here is pure. */

const DASH = '–'

/** `1234` → `1,234`. */
export function int(n: number | null | undefined): string {
  return n === null || n === undefined || !Number.isFinite(n) ? DASH : Math.round(n).toLocaleString('en-US')
}

/** A rate per second with three significant digits: `0.42`, `3.1`, `812`, `12.4k`. */
export function rate(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return DASH
  if (n === 0) return '0'
  if (n < 0.01) return '<0.01'
  if (n < 1) return n.toFixed(2)
  if (n < 10) return n.toFixed(1)
  if (n < 10_000) return int(n)
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 100_000 ? 1 : 0)}k`
  return `${(n / 1_000_000).toFixed(1)}M`
}

/** A share of 1 as per cent: `0 %`, `0.04 %`, `3.2 %`, `48 %`. */
export function percent(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return DASH
  const p = n * 100
  if (p === 0) return '0 %'
  if (p < 0.01) return '<0.01 %'
  if (p < 1) return `${p.toFixed(2)} %`
  if (p < 10) return `${p.toFixed(1)} %`
  if (p > 99.9 && p < 100) return '99.9 %'
  return `${Math.round(p)} %`
}

/** Milliseconds of latency: `0.8 ms`, `12 ms`, `1.2 s`. */
export function latency(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return DASH
  if (ms === 0) return '0 ms'
  if (ms < 0.1) return `${ms.toFixed(2)} ms`
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}

/** A span in milliseconds with its two largest units: `12 s`, `3 m 20 s`, `2 h 5 m`, `4 d 1 h`. */
export function span(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return DASH
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  const s = Math.floor(ms / 1000)
  if (s < 60) return `${s} s`
  const m = Math.floor(s / 60)
  if (m < 60) return s % 60 && m < 10 ? `${m} m ${s % 60} s` : `${m} m`
  const h = Math.floor(m / 60)
  if (h < 24) return m % 60 ? `${h} h ${m % 60} m` : `${h} h`
  const d = Math.floor(h / 24)
  return h % 24 && d < 7 ? `${d} d ${h % 24} h` : `${d} d`
}

/** A configured duration, exact where it is a whole number of a unit: `500 ms`, `30 s`, `5 m`, `1.5 s`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return DASH
  for (const [unit, size] of [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000]] as const) {
    if (ms >= size && ms % size === 0) return `${ms / size} ${unit}`
  }
  return ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms} ms`
}

/** A duration as the command line takes it: `30s`, `5m`, `1500ms`. */
export function cliDuration(ms: number): string {
  for (const [unit, size] of [['h', 3_600_000], ['m', 60_000], ['s', 1000]] as const) {
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}

/** Reads `30s`, `10 m`, `2h`, `500ms`, `90` (seconds). `null` where it is no duration. */
export function parseDuration(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|sec|m|min|h|d)?\s*$/i.exec(text)
  if (!match) return null
  const unit = { ms: 1, s: 1000, sec: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }[(match[2] ?? 's').toLowerCase()]
  const ms = Math.round(Number(match[1]) * (unit ?? 1000))
  return ms > 0 && Number.isSafeInteger(ms) ? ms : null
}

/** How long ago `at` was, as seen at `now` (both ms): `now`, `12 s ago`. */
export function ago(at: number, now: number): string {
  const d = now - at
  return d < 1000 ? 'now' : `${span(d)} ago`
}

const clockFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const dayFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' })

/** `14:03:09` in the reader's time zone. */
export function clock(ms: number): string {
  return Number.isFinite(ms) ? clockFormat.format(ms) : DASH
}

/** `14:03:09` for today, `Tue, 3 Nov 14:03:09` otherwise. */
export function moment(ms: number, now: number): string {
  if (!Number.isFinite(ms)) return DASH
  return new Date(ms).toDateString() === new Date(now).toDateString() ? clock(ms) : `${dayFormat.format(ms)} ${clock(ms)}`
}

/** `1 instance`, `2 instances`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${int(n)} ${n === 1 ? one : many}`
}

/** `a`, `a and b`, `a, b and 3 more`. */
export function listed(names: readonly string[], most = 3): string {
  if (names.length <= 1) return names[0] ?? ''
  if (names.length <= most) return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
  return `${names.slice(0, most - 1).join(', ')} and ${int(names.length - most + 1)} more`
}

/** The text of a configured value. */
export function value(v: unknown): string {
  if (v === null || v === undefined) return 'not set'
  if (typeof v === 'string') return v
  return JSON.stringify(v)
}

/** `host:port`, with brackets for IPv6. */
export function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A word for a shell: quoted where it needs to be. */
export function shell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
