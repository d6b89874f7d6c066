// After a build: what a first visit loads must stay small; what the server sends is compressed beside it; and the
// list of sources lets a test without Node tell that the output is theirs.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const FIRST_LOAD = 100 * 1024
const ui = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(ui, '../crates/ellie-server/ui-dist')
const SKIPPED = new Set(['node_modules', 'dist', 'test-results', 'playwright-report'])

function walk(folder, skip = new Set()) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (skip.has(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path, skip) : [path]
  })
}

/** Compressed once, with the most effort, so that the server never has to. */
function compress(file) {
  const text = readFileSync(file)
  const br = brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: text.length } })
  const gz = gzipSync(text, { level: 9 })
  // The byte that names the operating system differs between machines.
  gz[9] = 255
  for (const [ending, data] of [['br', br], ['gz', gz]]) {
    rmSync(`${file}.${ending}`, { force: true })
    if (data.length < text.length) writeFileSync(`${file}.${ending}`, data)
  }
  return Math.min(br.length, text.length)
}

const sizes = new Map()
for (const file of walk(out)) {
  if (/\.(br|gz)$/.test(file)) continue
  const name = relative(out, file)
  // The server writes into the page, so it compresses it itself.
  const size = name === 'index.html' || /\.(png|woff2)$/.test(name) ? gzipSync(readFileSync(file)).length : compress(file)
  sizes.set(name, size)
}

/** What the page loads before anything is shown: what it names, and what that imports at once. */
const index = readFileSync(join(out, 'index.html'), 'utf8')
const first = new Set(['index.html'])
const queue = [...index.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1]).filter((name) => name)
for (const name of queue) {
  if (first.has(name) || !sizes.has(name)) continue
  first.add(name)
  if (!name.endsWith('.js')) continue
  const text = readFileSync(join(out, name), 'utf8')
  for (const match of text.matchAll(/(?:import|from)\s*"(\.\/[^"]+)"/g)) queue.push(join(dirname(name), match[1]).split(sep).join('/'))
}
// The shared worker is loaded at once, too.
for (const name of sizes.keys()) if (/^assets\/worker-/.test(name)) first.add(name)

const sum = [...first].reduce((a, name) => a + (sizes.get(name) ?? 0), 0)
const all = [...sizes.values()].reduce((a, b) => a + b, 0)
console.log(`first load ${(sum / 1024).toFixed(1)} KiB compressed (limit ${FIRST_LOAD / 1024}), everything ${(all / 1024).toFixed(1)} KiB`)
if (sum > FIRST_LOAD) {
  for (const name of first) console.error(`  ${name}: ${sizes.get(name)} bytes`)
  process.exit(1)
}

const sources = walk(ui, SKIPPED)
  .map((file) => relative(ui, file).split(sep).join('/'))
  .sort((a, b) => (a < b ? -1 : 1))
const lines = sources.map((name) => `${createHash('sha256').update(readFileSync(join(ui, name))).digest('hex')}  ${name}\n`)
writeFileSync(join(out, 'SOURCES.sha256'), lines.join(''))
console.log(`${sources.length} sources noted`)
