/**
 * A list that is filtered and sorted again and again as its rows change. The order of the last time is where the next
 * sort begins: on rows of which a few moved, that takes a comparison each.
 */
export class Sorted<T extends { gone: boolean }> {
  #all: T[] = []
  #version = -1

  /** `version` changes when rows come or go. */
  update(source: () => Iterable<T>, version: number, compare: (a: T, b: T) => number): readonly T[] {
    if (version !== this.#version) {
      const known = new Set(this.#all)
      this.#all = this.#all.filter((row) => !row.gone)
      for (const row of source()) if (!known.has(row)) this.#all.push(row)
      this.#version = version
    }
    this.#all.sort(compare)
    return this.#all
  }
}

/** Compares texts by their numbers as numbers: `web-2` before `web-10`. Plain code units elsewhere: fast, and stable for every reader. */
export function natural(a: string, b: string): number {
  if (a === b) return 0
  let i = 0
  const shortest = Math.min(a.length, b.length)
  while (i < shortest && a.charCodeAt(i) === b.charCodeAt(i)) i++
  // Back to where the number began in which they differ.
  let start = i
  while (start > 0 && digit(a, start - 1)) start--
  if (digit(a, start) && digit(b, start)) {
    let [enda, endb] = [start, start]
    while (digit(a, enda)) enda++
    while (digit(b, endb)) endb++
    const difference = Number(a.slice(start, enda)) - Number(b.slice(start, endb))
    if (difference) return difference
  }
  return a < b ? -1 : 1
}

function digit(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return code >= 48 && code <= 57
}

/** Whether every word of `query` is in `hay`, which is in lower case. */
export function matcher(query: string): (hay: string) => boolean {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  if (!words.length) return () => true
  return (hay) => words.every((word) => hay.includes(word))
}
