import { describe, expect, it } from 'vitest'
import type { Process } from '../lib/types'
import { boxes, definitions, lines, took } from './order'

function process(name: string, on: string[] = [], more: Partial<Process> = {}): Process {
  return { name, process: name, external: false, state: 'ready', reason: '', since: '2026-01-01T00:00:00Z', restarts: 0, failures: 0, times: {}, dependencies: on.map((name) => ({ name, condition: 'healthy', met: true })), ...more }
}

describe('the order of start', () => {
  const all = [process('web', ['api', 'db']), process('db'), process('api.1', ['db'], { process: 'api' }), process('api.2', ['db'], { process: 'api', dependencies: [{ name: 'db', condition: 'healthy', met: false }] })]

  it('puts a definition after all that it depends on, replicas together', () => {
    const found = definitions(all)
    expect(found.map((d) => [d.name, d.wave, d.replicas.length])).toEqual([['web', 2, 1], ['db', 0, 1], ['api', 1, 2]])
  })

  it('calls a dependency met when it is for every replica', () => {
    expect(lines(definitions(all))).toEqual([
      { from: 'api', to: 'web', condition: 'healthy', met: true },
      { from: 'db', to: 'web', condition: 'healthy', met: true },
      { from: 'db', to: 'api', condition: 'healthy', met: false },
    ])
  })

  it('lets no two boxes of a column overlap', () => {
    const many = [process('a'), process('b'), ...[1, 2, 3].map((n) => process(`c.${n}`, ['a'], { process: 'c' })), process('d', ['b'])]
    const { boxes: placed, height } = boxes(definitions(many))
    const list = [...placed.values()]
    for (const one of list) {
      expect(one.y).toBeGreaterThanOrEqual(0)
      expect(one.y + one.height).toBeLessThanOrEqual(height)
      for (const other of list) if (one !== other && one.x === other.x) expect(one.y + one.height <= other.y || other.y + other.height <= one.y).toBe(true)
    }
  })

  it('ends where a cycle is sent', () => {
    expect(definitions([process('a', ['b']), process('b', ['a'])])).toHaveLength(2)
  })

  it('tells only what has happened', () => {
    expect(took(process('a', [], { times: { asked: '2026-01-01T00:00:00Z' } }))).toEqual({})
    expect(took(process('a', [], { times: { asked: '2026-01-01T00:00:00Z', unblocked: '2026-01-01T00:00:02Z', started: '2026-01-01T00:00:02Z', ready: '2026-01-01T00:00:02.500Z' } }))).toEqual({ waited: 2000, started: 500 })
  })
})
