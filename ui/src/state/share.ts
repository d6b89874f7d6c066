/** What an action would do to the traffic of a service's instances, before it is done. */

export interface Part {
  id: string
  weight: number
  routable: boolean
  /** What the balancer intends now, if it tells. */
  expected: number | null
}

export interface Shift {
  id: string
  before: number
  after: number
}

export type Change = { id: string; weight: number } | { id: string; out: true } | { id: string; in: true }

/**
 * Shares before and after a change. Those before are the balancer's intent where it is told for all that get traffic,
 * else by weight; those after keep the ratio between the rest, for that is what every strategy does.
 */
export function shift(parts: readonly Part[], change: Change): Shift[] {
  const inside = (part: Part): boolean => part.routable && part.weight > 0
  const told = parts.filter(inside).every((part) => part.expected !== null) && parts.some((part) => inside(part) && (part.expected ?? 0) > 0)
  const before = parts.map((part) => (inside(part) ? (told ? (part.expected ?? 0) : part.weight) : 0))
  const perWeight = average(parts.map((part, i) => (before[i] && part.weight ? (before[i] ?? 0) / part.weight : null)))
  const after = parts.map((part, i) => {
    const now = before[i] ?? 0
    if (part.id !== change.id) return now
    if ('out' in change) return 0
    if ('in' in change) return inside(part) ? now : Math.max(1, part.weight) * (perWeight || 1)
    if (!part.routable && part.weight > 0) return 0
    return now && part.weight ? (now / part.weight) * change.weight : change.weight * (perWeight || 1)
  })
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
  const [all, left] = [sum(before), sum(after)]
  return parts.map((part, i) => ({ id: part.id, before: all ? (before[i] ?? 0) / all : 0, after: left ? (after[i] ?? 0) / left : 0 }))
}

function average(values: readonly (number | null)[]): number {
  const known = values.filter((value) => value !== null)
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : 0
}
