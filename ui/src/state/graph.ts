/** Who calls whom: from the dependencies that services state, and the routes of the gateway. */
import type { Route } from '../lib/types'
import { type Svc, services } from './store'

export function callersOf(name: string): string[] {
  const found: string[] = []
  for (const service of services.values()) if (service.wire.dependencies?.includes(name)) found.push(service.name)
  return found.sort()
}

export interface Node {
  name: string
  /** `gateway`, a service, or a name that nobody registered. */
  kind: 'gateway' | 'service' | 'missing'
  layer: number
  slot: number
}

export interface Edge {
  from: string
  to: string
}

export const GATEWAY = '\u0000gateway'

/** Nodes in layers, callers before what they call; with `focus` only what is one step away from it. */
export function layout(all: ReadonlyMap<string, Svc>, routes: readonly Route[], focus: string): { nodes: Node[]; edges: Edge[] } {
  const edges: Edge[] = []
  const seen = new Set<string>()
  const add = (from: string, to: string): void => {
    const key = `${from}\u0001${to}`
    if (!seen.has(key) && (!focus || from === focus || to === focus)) {
      seen.add(key)
      edges.push({ from, to })
    }
  }
  for (const route of routes) add(GATEWAY, route.serviceName)
  for (const service of all.values()) for (const on of service.wire.dependencies ?? []) add(service.name, on)
  const names = new Set<string>(focus ? [focus] : all.keys())
  for (const { from, to } of edges) names.add(from).add(to)
  // Longest path from a caller; dependencies have no cycles, but a bound costs nothing.
  const layer = new Map([...names].map((name) => [name, 0]))
  for (let round = 0, moved = true; moved && round < 40; round++) {
    moved = false
    for (const { from, to } of edges) {
      const next = (layer.get(from) ?? 0) + 1
      if ((layer.get(to) ?? 0) < next) {
        layer.set(to, next)
        moved = true
      }
    }
  }
  const byLayer = new Map<number, string[]>()
  for (const name of [...names].sort()) {
    const at = layer.get(name) ?? 0
    byLayer.set(at, [...(byLayer.get(at) ?? []), name])
  }
  // Each next to the middle of its callers: fewer lines cross.
  const slot = new Map<string, number>()
  for (const at of [...byLayer.keys()].sort((a, b) => a - b)) {
    const middle = (name: string): number => {
      const from = edges.filter((edge) => edge.to === name).map((edge) => slot.get(edge.from) ?? 0)
      return from.length ? from.reduce((a, b) => a + b, 0) / from.length : 0
    }
    const sorted = [...(byLayer.get(at) ?? [])].sort((a, b) => middle(a) - middle(b) || (a < b ? -1 : 1))
    sorted.forEach((name, i) => slot.set(name, i))
    byLayer.set(at, sorted)
  }
  const nodes = [...byLayer].flatMap(([at, list]) => list.map((name, i): Node => ({ name, kind: name === GATEWAY ? 'gateway' : all.has(name) ? 'service' : 'missing', layer: at, slot: i })))
  return { nodes, edges }
}
