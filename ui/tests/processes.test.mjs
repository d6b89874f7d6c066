// Processes: the order of start, live logs, and orders with their effect in the manager, the registry and the traffic.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Ellie, TOKEN, openBrowser, openPage, settled, shots, until } from './harness.mjs'

const SERVER = `import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked for", self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
`
const CONFIG = (folder) => `
[[processes]]
name = "migrate"
command = ["sh", "-c", "until [ -e '${folder}/go' ]; do sleep 0.05; done; echo migrated"]
restart = "never"

[[processes]]
name = "users"
command = ["python3", "${folder}/server.py"]
port = "auto"
replicas = 2
drain_timeout = 0
dependencies = [{ name = "migrate", condition = "completed" }]

[[processes]]
name = "broken"
command = ["sh", "-c", "echo it can not go on >&2; exit 3"]
restart = "never"

[[routes]]
path = "/users/*"
service_name = "users"
`

let ellie
let browser
let page
let folder
const faults = []

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ellie-ui-'))
  writeFileSync(join(folder, 'server.py'), SERVER)
  writeFileSync(join(folder, 'ellie.toml'), CONFIG(folder))
  ellie = await Ellie.start('up', { flags: [`--config=${join(folder, 'ellie.toml')}`] })
  browser = await openBrowser()
  page = await openPage(await browser.newContext({ viewport: { width: 1440, height: 900 } }), faults)
})

after(async () => {
  await browser?.close()
  await ellie?.down()
  if (folder) rmSync(folder, { recursive: true })
  assert.deepEqual(faults, [], 'nothing went wrong in any page')
})

const states = async () => Object.fromEntries((await ellie.get('/processes')).processes.map((p) => [p.name, p.state]))
const box = (name) => page.getByRole('region', { name: 'Start order' }).getByRole('link', { name, exact: true })
const says = (name, state) => until(`${name} to be ${state} on the page`, async () => (await box(name).textContent()).includes(state))

/** Gives an order in its dialog; the token is asked for the first time only. */
async function order(button, title) {
  await page.getByRole('button', { name: button, exact: true }).click()
  const dialog = page.getByRole('dialog', { name: title })
  await dialog.locator('[data-effect]').waitFor()
  const token = dialog.locator('input[name="ellie-token"]')
  if (await token.count()) await token.fill(TOKEN)
  const sure = dialog.locator('input[type="checkbox"]')
  if (await sure.count()) await sure.check()
  const effect = await dialog.locator('[data-effect]').textContent()
  await dialog.locator('button[type="submit"]').click()
  await dialog.waitFor({ state: 'detached' })
  return effect
}

test('the order of start, and what waits for what, live', async () => {
  await page.goto(`${ellie.ui}processes`)
  await settled(page, 'processes')
  await says('users.1', 'waiting')
  await says('broken', 'failed')
  assert.equal(await page.locator('svg path.edge.warn').count(), 1, 'the dependency that does not hold yet')
  writeFileSync(join(folder, 'go'), '')
  for (const name of ['users.1', 'users.2']) await says(name, 'ready')
  await says('migrate', 'completed')
  assert.equal(await page.locator('svg path.edge.warn').count(), 0)
})

test('a process that failed needs attention', async () => {
  await page.goto(ellie.ui)
  await settled(page, 'overview')
  await page.getByText('process is in failed').waitFor()
})

test('logs are live, of one and of all, and can be filtered', async () => {
  await page.goto(`${ellie.ui}processes/broken`)
  await settled(page, 'processes')
  await page.getByRole('log', { name: 'Log of broken' }).getByText('it can not go on').waitFor()
  await page.getByText('exit code 3', { exact: true }).waitFor()
  await page.getByRole('link', { name: 'of all' }).click()
  const log = page.getByRole('log', { name: 'Log of all processes' })
  await fetch(`${ellie.gateway}/users/hello-from-the-test`)
  await log.getByText('asked for /users/hello-from-the-test').or(log.getByText('asked for /hello-from-the-test')).waitFor()
  await page.getByRole('searchbox', { name: 'Filter the log' }).fill('migrated')
  await until('only what is looked for', async () => (await log.locator('.log-line').count()) === 1)
  assert.match(page.url(), /\?q=migrated/)
})

test('stop, start and restart reach the process, the registry and the traffic', async () => {
  await page.goto(`${ellie.ui}processes/users.1`)
  await settled(page, 'processes')
  await page.getByRole('link', { name: 'users.1', exact: true }).last().waitFor()
  const effect = await order('Stop', 'Stop users.1')
  assert.match(effect, /50 %.*100 %/s, 'what is left to the other')
  await says('users.1', 'stopped')
  assert.equal((await states())['users.1'], 'stopped')
  assert.equal(await ellie.instance('users', 'users.1'), null)
  assert.equal((await fetch(`${ellie.gateway}/users/x`)).status, 200, 'the other answers')
  await order('Start', 'Start users.1')
  await says('users.1', 'ready')
  await until('its registration', () => ellie.instance('users', 'users.1'))
  const pid = (await ellie.get('/processes/users.1')).processes[0].pid
  await order('Restart', 'Restart users.1')
  await until('another process', async () => {
    const { state, pid: now } = (await ellie.get('/processes/users.1')).processes[0]
    return state === 'ready' && now !== pid
  })
  await order('Stop all', 'Stop all processes')
  for (const name of ['users.1', 'users.2']) await says(name, 'stopped')
  await until('no instance', async () => (await ellie.get('/services')).count === 0)
  await order('Start all', 'Start all processes')
  for (const name of ['users.1', 'users.2']) await says(name, 'ready')
})

test('axe finds nothing serious, light or dark', async () => {
  const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
  for (const colorScheme of ['light', 'dark']) {
    // The policy of the page would not let the checker in; it is not what is checked here.
    const own = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme, bypassCSP: true })
    const page = await openPage(own, faults)
    await page.goto(`${ellie.ui}processes/users.1`)
    await settled(page, 'processes')
    await page.getByRole('log').locator('.log-line').first().waitFor()
    await page.addScriptTag({ path: axe })
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }))
    const serious = found.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
    assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} (${n.failureSummary})`).slice(0, 3).join('\n')}`), [], colorScheme)
    await own.close()
  }
})

/** A system as people have it, for the pictures. */
const SHOWN = (folder) => `
[[processes]]
name = "migrate"
command = ["sh", "-c", "echo 'schema is at version 42'"]
restart = "never"

[[processes]]
name = "users"
command = ["python3", "${folder}/server.py"]
port = "auto"
replicas = 2
dependencies = [{ name = "migrate", condition = "completed" }]

[[processes]]
name = "orders"
command = ["python3", "${folder}/server.py"]
port = "auto"
dependencies = ["users"]

[[processes]]
name = "bank"
external = { tcp = "127.0.0.1:1" }

[[processes]]
name = "payments"
command = ["python3", "${folder}/server.py"]
port = "auto"
dependencies = ["bank", "users"]

[[routes]]
path = "/users/*"
service_name = "users"
`

test('screenshots', { skip: process.env.SCREENSHOTS ? false : 'SCREENSHOTS=1 takes them anew' }, async () => {
  mkdirSync(shots, { recursive: true })
  writeFileSync(join(folder, 'shown.toml'), SHOWN(folder))
  const shown = await Ellie.start('up', { flags: [`--config=${join(folder, 'shown.toml')}`] })
  try {
    await until('answers', async () => (await fetch(`${shown.gateway}/users/alice`)).ok)
    for (let i = 0; i < 12; i++) await fetch(`${shown.gateway}/users/${['alice', 'bob', 'carol'][i % 3]}`)
    for (const colorScheme of ['light', 'dark']) {
      for (const [width, height] of [[1440, 900], [390, 844]]) {
        const own = await browser.newContext({ viewport: { width, height }, colorScheme })
        const page = await openPage(own, faults)
        await page.goto(`${shown.ui}processes/users.1`)
        await settled(page, 'processes')
        await page.getByRole('log').locator('.log-line').first().waitFor()
        await page.screenshot({ path: `${shots}/processes-${colorScheme}-${width}.png` })
        await own.close()
      }
    }
  } finally {
    await shown.down()
  }
})
