import { expect, test } from 'vitest'
import type { Tick } from '../lib/types'
import { type Sight, matters, watch } from './attention'
import type { Svc } from './store'

const service = (name: string): Svc => ({ name, total: 2, rows: new Map(), wire: { status: 'healthy', routable: 2, healthy: 2 } }) as unknown as Svc

function sight(tick: Partial<Tick>, errors: readonly number[] = []): Sight {
  return { services: [service('users')], has: () => true, tick: tick as Tick, mode: {}, routes: [], processes: null, providers: [], now: 1_000_000, errors: () => errors } as unknown as Sight
}

test('errors are told with since when they go on without a gap', () => {
  const tick = { services: { users: { rps: 10, errors: 0.5 } } } as unknown as Partial<Tick>
  const [gap] = matters(sight(tick, [0.5, 0.5, 0, 0.4, 0.5, 0.5]))
  expect(gap).toMatchObject({ subject: 'users', since: 997_000 })
  expect(gap?.atLeast).toBeUndefined()
  expect(matters(sight(tick, [0.5, 0.5]))[0]).toMatchObject({ since: 998_000, atLeast: true })
})

test('what has no known beginning began when it was first seen', () => {
  const slow = { instances: { users: { 'users-1': [1, 0, 90, 0, 0.1, 0.1, 1] } } } as unknown as Partial<Tick>
  const at = (tick: Partial<Tick>, now: number) => watch(matters(sight(tick)), now)[0]
  expect(at(slow, 0)).toMatchObject({ subject: 'users-1', since: 0, atLeast: true })
  expect(at(slow, 2000)).toMatchObject({ since: 0, atLeast: true })
  expect(at({}, 3000)).toBeUndefined()
  const again = at(slow, 4000)
  expect(again?.since).toBe(4000)
  expect(again?.atLeast).toBeUndefined()
  expect(at(slow, 60_000), 'nobody looked in between').toMatchObject({ since: 60_000, atLeast: true })
})

test('the worst comes first, and an operator’s mark tells when it ends', () => {
  const found = matters(sight({ breakers: { a: { state: 'half_open', failures: 0, calls: 0, failureRate: 0 }, b: { state: 'open', failures: 5, calls: 5, failureRate: 1, openedFor: 4000 }, c: { state: 'open', failures: 0, calls: 0, failureRate: 0, forced: { state: 'open', left: 9000 } } } } as unknown as Partial<Tick>))
  expect(found.map((m) => m.subject)).toEqual(['b', 'a', 'c'])
  expect(found[0]?.since).toBe(996_000)
  expect(found[2]?.until).toBe(1_009_000)
})

test('a provider that can’t be followed is told of, one that was never asked for anything is not', () => {
  const provider = { name: 'docker', endpoint: '', up: false, syncs: 0, failures: 1, instances: 3, noteCount: 0 }
  const told = (more: object) => matters({ ...sight({}), providers: [{ ...provider, ...more }] }).filter((m) => m.key === 'v:docker')
  expect(told({ error: 'no such socket' })).toMatchObject([{ subject: 'docker', why: 'no such socket' }])
  expect(told({ stale: { since: '1970-01-01T00:00:01Z', reason: 'gone' } })).toMatchObject([{ since: 1000, why: 'gone' }])
  expect(told({})).toEqual([])
  expect(told({ up: true, error: 'before' })).toEqual([])
})
