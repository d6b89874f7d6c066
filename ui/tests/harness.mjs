// Starts the real binary and the real browser. What is started here is ended here.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
export const TOKEN = 'a-token-of-the-browser-tests'
export const shots = join(root, 'docs/screenshots')

function binary() {
  const found = [process.env.ELLIE_BIN, join(root, 'target/release/ellie'), join(root, 'target/debug/ellie')].find((path) => path && existsSync(path))
  if (!found) throw new Error('no binary: set ELLIE_BIN, or run `cargo build --release -p ellie-server`')
  return found
}

/**
 * A port that is free now, below those that the system gives to connections and to servers on port 0: between this and
 * its use, and while a server is restarted on it, nothing else takes it by chance.
 */
export async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    const free = await new Promise((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}

/** How long anything may take: it is a limit for what is broken, not for a machine that is busy. */
export const PATIENCE = 90_000

/** Looks until `look` gives something true; the last fault is told when it never does. */
export async function until(what, look, patience = PATIENCE) {
  const end = Date.now() + patience
  let fault = ''
  for (;;) {
    try {
      const value = await look()
      if (value) return value
    } catch (error) {
      fault = `: ${error.message}`
    }
    if (Date.now() > end) throw new Error(`${what} did not come to be${fault}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export class Ellie {
  /** `ellie demo` or `ellie serve`, on the given ports or on free ones. */
  static async start(command, { ports, flags = [] } = {}) {
    const ellie = new Ellie()
    ellie.command = command
    ellie.flags = flags
    for (let left = 5; ; left--) {
      ellie.ports = ports ?? { api: await freePort(), dashboard: await freePort(), gateway: await freePort() }
      try {
        await ellie.up()
        return ellie
      } catch (error) {
        // Another process was faster to bind one of them.
        if (ports || left === 0 || !/port is taken/.test(ellie.said)) throw error
      }
    }
  }

  get api() {
    return `http://127.0.0.1:${this.ports.api}`
  }

  get ui() {
    return `http://127.0.0.1:${this.ports.dashboard}/ui/`
  }

  get gateway() {
    return `http://127.0.0.1:${this.ports.gateway}`
  }

  async up() {
    const { api, dashboard, gateway } = this.ports
    const flags = [`--api-listen=127.0.0.1:${api}`, `--dashboard-listen=127.0.0.1:${dashboard}`, `--gateway-listen=127.0.0.1:${gateway}`, '--ephemeral', ...this.flags]
    this.process = spawn(binary(), [this.command, ...flags], { env: { ...process.env, ELLIE_AUTH__OPERATOR_TOKEN: TOKEN }, stdio: ['ignore', 'ignore', 'pipe'] })
    this.said = ''
    this.process.stderr.on('data', (data) => (this.said += data))
    const answers = () => fetch(`${this.api}/health`).then((answer) => answer.ok, () => false)
    await until('a server that answers', async () => this.process.exitCode !== null || answers())
    if (this.process.exitCode !== null) throw new Error(`the server ended: ${this.said}`)
  }

  async down() {
    if (this.process.exitCode !== null) return
    const ended = new Promise((resolve) => this.process.once('exit', resolve))
    this.process.kill('SIGTERM')
    await ended
  }

  async get(path) {
    const answer = await fetch(this.api + path, { headers: { accept: 'application/json' } })
    return answer.status === 404 ? null : answer.json()
  }

  async send(method, path, body) {
    const answer = await fetch(this.api + path, { method, headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    const text = await answer.text()
    return text ? JSON.parse(text) : undefined
  }

  instance(name, id) {
    return this.get(`/services/${name}/instances/${id}`)
  }

  breaker(name) {
    return this.get('/breakers').then((all) => all.breakers.find((breaker) => breaker.name === name))
  }

  /** Registers `n` instances over `services` services, in batches; their checks are off. */
  async fleet(n, services, version = '1.0.0', from = 0) {
    for (let start = from; start < from + n; start += 1000) {
      const registrations = Array.from({ length: Math.min(1000, from + n - start) }, (_, i) => {
        const at = start + i
        return { id: `i-${at}`, name: `svc-${at % services}`, host: '10.0.0.1', port: 1024 + (at % 60_000), version, healthCheck: { type: 'none' }, tags: [`zone-${at % 3}`] }
      })
      await this.send('POST', '/services/batch', { registrations, deregistrations: [] })
    }
  }
}

/** A reverse proxy that has the dashboard at a path of its own; the `Host` field is passed on. */
export class SubPath {
  static async start(prefix, port) {
    const proxy = new SubPath()
    proxy.server = createHttpServer((from, to) => {
      if (!from.url.startsWith(`${prefix}/`)) return to.writeHead(404).end()
      const asked = request({ host: '127.0.0.1', port, path: from.url.slice(prefix.length), method: from.method, headers: from.headers }, (answer) => {
        to.writeHead(answer.statusCode, answer.headers)
        answer.pipe(to)
      })
      asked.on('error', () => to.destroy())
      to.on('close', () => asked.destroy())
      from.pipe(asked)
    })
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve))
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}${prefix}`
    return proxy
  }

  async end() {
    const closed = new Promise((resolve) => this.server.close(resolve))
    this.server.closeAllConnections()
    await closed
  }
}

export function openBrowser() {
  const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags })
}

/** A page that fails its test on any error it logs: a broken script, or something that the CSP forbids. */
export async function openPage(context, faults) {
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  page.on('pageerror', (error) => faults.push(`${page.url()}: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) faults.push(`${page.url()}: ${message.text()}`)
  })
  return page
}

export async function settled(page, screen) {
  await page.waitForSelector(`main[data-ready="true"][data-screen="${screen}"] h1, main[data-ready="true"][data-screen="${screen}"] h2`, { state: 'attached' })
}
