/** The order in which processes start: a definition each, after all that it depends on. */
import type { Process } from '../lib/types'

/** A definition with its replicas. */
export interface Definition {
  name: string
  replicas: Process[]
  /** Names of what it depends on. */
  after: string[]
  /** The column: one more than the last of what it depends on. */
  wave: number
}

export interface Line {
  from: string
  to: string
  condition: string
  met: boolean
}

export function definitions(all: readonly Process[]): Definition[] {
  const found = new Map<string, Definition>()
  for (const p of all) {
    const known = found.get(p.process)
    if (known) known.replicas.push(p)
    else found.set(p.process, { name: p.process, replicas: [p], after: p.dependencies.map((d) => d.name), wave: 0 })
  }
  // The server has no plan with a cycle; the bound is for what is never sent.
  for (let round = 0, moved = true; moved && round <= found.size; round++) {
    moved = false
    for (const d of found.values()) {
      const wave = Math.max(0, ...d.after.map((name) => (found.get(name)?.wave ?? -1) + 1))
      if (wave > d.wave) {
        d.wave = wave
        moved = true
      }
    }
  }
  return [...found.values()]
}

/** Who waits for whom; a dependency that does not hold for a replica does not hold. */
export function lines(all: readonly Definition[]): Line[] {
  return all.flatMap((d) => {
    const first = d.replicas[0]
    return (first?.dependencies ?? []).map((on, i) => ({ from: on.name, to: d.name, condition: on.condition, met: d.replicas.every((p) => p.dependencies[i]?.met ?? false) }))
  })
}

export interface Box {
  definition: Definition
  x: number
  y: number
  height: number
}

export const WIDTH = 216
const [HEAD, EACH, GAP_X, GAP_Y] = [38, 26, 72, 16]

/** Columns by wave, each in the middle of the tallest. */
export function boxes(all: readonly Definition[]): { boxes: Map<string, Box>; width: number; height: number } {
  const columns: Definition[][] = []
  for (const d of all) (columns[d.wave] ??= []).push(d)
  const tall = (d: Definition): number => HEAD + EACH * d.replicas.length
  const sum = (column: Definition[]): number => column.reduce((sum, d) => sum + tall(d) + GAP_Y, -GAP_Y)
  const height = Math.max(0, ...columns.map(sum))
  const out = new Map<string, Box>()
  // Each next to the middle of what it depends on: fewer lines cross.
  const middle = (d: Definition): number => {
    const on = d.after.map((name) => out.get(name)).filter((box) => box !== undefined)
    return on.length ? on.reduce((a, box) => a + box.y + box.height / 2, 0) / on.length : 0
  }
  columns.forEach((column, wave) => {
    const sorted = column.map((d) => ({ d, at: middle(d) })).sort((a, b) => a.at - b.at)
    let y = (height - sum(column)) / 2
    for (const { d } of sorted) {
      out.set(d.name, { definition: d, x: wave * (WIDTH + GAP_X), y, height: tall(d) })
      y += tall(d) + GAP_Y
    }
  })
  return { boxes: out, width: columns.length * (WIDTH + GAP_X) - GAP_X, height }
}

/** How far a start got and what took how long, in milliseconds. */
export function took(p: Process): { waited?: number; started?: number } {
  const at = (text: string | undefined): number => (text ? Date.parse(text) : Number.NaN)
  const [asked, unblocked, started, ready] = [p.times.asked, p.times.unblocked, p.times.started, p.times.ready].map(at) as [number, number, number, number]
  return {
    ...(unblocked - asked >= 0 ? { waited: unblocked - asked } : {}),
    ...(ready - started >= 0 ? { started: ready - started } : {}),
  }
}
