import { describe, expect, it } from 'vitest'
import { Ring } from '../state/ring'
import { merge } from '../state/merge'
import { shift, type Part } from '../state/share'
import { instanceWord } from '../state/words'
import { cliDuration, latency, listed, parseDuration, percent, rate, shell, span } from './format'
import { Sorted, matcher, natural } from './sorted'
import { EventParser } from './sse'

describe('numbers as text', () => {
  it('rates keep three digits', () => {
    expect([0, 0.004, 0.42, 3.14, 812.4, 12_345, 2_500_000].map(rate)).toEqual(['0', '<0.01', '0.42', '3.1', '812', '12.3k', '2.5M'])
  })
  it('shares never round to all or nothing', () => {
    expect([0, 0.00001, 0.032, 0.9999, 1].map(percent)).toEqual(['0 %', '<0.01 %', '3.2 %', '99.9 %', '100 %'])
  })
  it('spans have two units at most', () => {
    expect([500, 12_000, 200_000, 7_500_000, 349_200_000].map(span)).toEqual(['500 ms', '12 s', '3 m 20 s', '2 h 5 m', '4 d 1 h'])
  })
  it('what is unknown is a dash', () => {
    expect([rate(null), latency(undefined), percent(Number.NaN)]).toEqual(['–', '–', '–'])
  })
  it('durations are read back', () => {
    expect(['30s', '15 m', '2h', '500ms', '90'].map(parseDuration)).toEqual([30_000, 900_000, 7_200_000, 500, 90_000])
    expect(['', 'soon', '-5s', '0'].map(parseDuration)).toEqual([null, null, null, null])
    expect([30_000, 900_000, 1500].map(cliDuration)).toEqual(['30s', '15m', '1500ms'])
  })
  it('words for a shell are quoted where they must be', () => {
    expect(shell('users-1')).toBe('users-1')
    expect(shell("it's; rm")).toBe("'it'\\''s; rm'")
  })
  it('lists end in a count', () => {
    expect(listed(['a', 'b'])).toBe('a and b')
    expect(listed(['a', 'b', 'c', 'd', 'e'])).toBe('a, b and 3 more')
  })
})

describe('event stream', () => {
  const text = 'retry: 1000\n: hi\n\nevent: snapshot\r\nid: a-1\r\ndata: {"x":\r\ndata: 1}\r\n\r\nevent: tick\ndata: 2\n\n'
  it('gives the same messages wherever it is cut', () => {
    const whole = new EventParser().push(text)
    expect(whole).toEqual([
      { event: 'snapshot', data: '{"x":\n1}', id: 'a-1' },
      { event: 'tick', data: '2', id: 'a-1' },
    ])
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new EventParser()
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(whole)
    }
    const parser = new EventParser()
    expect([...text].flatMap((c) => parser.push(c))).toEqual(whole)
  })
})

describe('merging deltas', () => {
  it('upserts, removes and keeps the rest', () => {
    const inst = (version: string) => ({ host: 'h', port: 1, weight: 1, status: 'healthy' as const, standing: 'routable', reason: '', since: '', version })
    const state = { index: 1, at: '', services: { a: { total: 2, instances: { x: inst('1'), y: inst('1') } }, b: { instances: {} } } }
    merge(state, { index: 2, at: 't', removed: ['b'], services: { a: { total: 2, instances: { x: inst('2'), z: inst('1') }, removed: ['y'] }, c: { instances: {} } } })
    expect(Object.keys(state.services)).toEqual(['a', 'c'])
    expect(Object.keys(state.services.a.instances)).toEqual(['x', 'z'])
    expect(state.services.a.instances.x.version).toBe('2')
    expect(state.index).toBe(2)
  })
})

describe('shares before and after', () => {
  const part = (id: string, weight = 1, routable = true, expected: number | null = null): Part => ({ id, weight, routable, expected })
  const after = (parts: Part[], change: Parameters<typeof shift>[1]) => Object.fromEntries(shift(parts, change).map((s) => [s.id, Number(s.after.toFixed(4))]))
  it('what one leaves goes to the others as they stand', () => {
    expect(after([part('a'), part('b'), part('c', 2)], { id: 'a', out: true })).toEqual({ a: 0, b: 0.3333, c: 0.6667 })
  })
  it('the last one leaves nothing', () => {
    expect(after([part('a'), part('b', 1, false)], { id: 'a', out: true })).toEqual({ a: 0, b: 0 })
  })
  it('a weight is a part of the sum', () => {
    expect(after([part('a'), part('b')], { id: 'a', weight: 3 })).toEqual({ a: 0.75, b: 0.25 })
    expect(after([part('a', 0), part('b')], { id: 'a', weight: 1 })).toEqual({ a: 0.5, b: 0.5 })
  })
  it('one that is drained does not get traffic by weight', () => {
    expect(after([part('a', 1, false), part('b')], { id: 'a', weight: 5 })).toEqual({ a: 0, b: 1 })
  })
  it('who comes back gets what one of its weight gets', () => {
    expect(after([part('a', 1, false), part('b', 1, true, 0.5), part('c', 1, true, 0.5)], { id: 'a', in: true })).toEqual({ a: 0.3333, b: 0.3333, c: 0.3333 })
  })
  it('the balancer’s intent counts, where it is told', () => {
    expect(after([part('a', 1, true, 0.6), part('b', 1, true, 0.4), part('c', 1, true, 0)], { id: 'b', out: true })).toEqual({ a: 1, b: 0, c: 0 })
  })
})

describe('lists', () => {
  it('numbers in names count as numbers', () => {
    expect(['web-10', 'web-2', 'web-1', 'api'].sort(natural)).toEqual(['api', 'web-1', 'web-2', 'web-10'])
  })
  it('every word must be there', () => {
    expect(matcher('users  zone-b')('users-1 10.0.0.1 zone-b')).toBe(true)
    expect(matcher('users zone-c')('users-1 10.0.0.1 zone-b')).toBe(false)
  })
  it('rows that come and go are followed', () => {
    const list = new Sorted<{ n: number; gone: boolean }>()
    const rows = [3, 1, 2].map((n) => ({ n, gone: false }))
    const by = (a: { n: number }, b: { n: number }): number => a.n - b.n
    expect(list.update(() => rows, 1, by).map((r) => r.n)).toEqual([1, 2, 3])
    const [first] = rows
    if (first) first.gone = true
    rows.shift()
    rows.push({ n: 0, gone: false })
    expect(list.update(() => rows, 2, by).map((r) => r.n)).toEqual([0, 1, 2])
  })
  it('a ring keeps the newest', () => {
    const ring = new Ring(3)
    for (const n of [1, 2, 3, 4]) ring.push(n)
    expect(ring.values()).toEqual([2, 3, 4])
    ring.fill([7, null])
    expect(ring.values()).toEqual([7, Number.NaN])
  })
})

describe('words', () => {
  it('what an operator did comes before what a check says', () => {
    const i = { status: 'unhealthy' as const, standing: 'draining', reason: 'x', operator: { draining: { by: 'me', at: '' } } }
    expect(instanceWord(i).word).toBe('draining')
    expect(instanceWord({ status: 'unhealthy', standing: 'unhealthy', reason: 'awaiting first check' }).word).toBe('awaiting check')
  })
})
