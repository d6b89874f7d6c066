// The configuration: where each value came from, a reload that works, one that is refused, and what waits for a restart.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Ellie, TOKEN, freePort, openBrowser, openPage, settled, until } from './harness.mjs'

let ellie
let browser
let folder
let file
let port
const faults = []

/** A service that nobody answers for: each request to it is a failure. */
const write = (threshold, more = '') =>
  writeFileSync(
    file,
    `[circuit_breaker]
failure_threshold = ${threshold}
${more}
[[services]]
name = "away"
host = "127.0.0.1"
port = ${port}
health_check = { type = "none" }

[[routes]]
path = "/away/*"
service_name = "away"
retries = 0
`,
  )

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ellie-ui-'))
  file = join(folder, 'ellie.toml')
  port = await freePort()
  write(1000)
  ellie = await Ellie.start('serve', { flags: [`--config=${file}`] })
  browser = await openBrowser()
})

after(async () => {
  await browser?.close()
  await ellie?.down()
  if (folder) rmSync(folder, { recursive: true })
  assert.deepEqual(faults, [], 'nothing went wrong in any page')
})

const asked = async () => (await fetch(`${ellie.gateway}/away/x`)).status

/** Opens the dialog and confirms; the token is asked for the first time only. */
async function reload(page) {
  await page.getByRole('button', { name: 'Reload', exact: true }).click()
  const dialog = page.getByRole('dialog', { name: 'Reload the configuration' })
  await dialog.locator('[data-effect]').waitFor()
  assert.match((await dialog.locator('.same').textContent()) ?? '', /ellie reload.*curl -X PUT/s)
  const token = dialog.locator('input[name="ellie-token"]')
  if (await token.count()) await token.fill(TOKEN)
  await dialog.locator('button[type="submit"]').click()
  return dialog
}

const line = (page, key) => page.locator('.line', { hasText: key })

test('every value with where it came from; the filter is in the address', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await openPage(context, faults)
  await page.goto(`${ellie.ui}config`)
  await settled(page, 'config')
  await page.getByLabel('Filter keys').fill('failure_threshold')
  await line(page, 'circuit_breaker.failure_threshold').filter({ hasText: '1000' }).filter({ hasText: `${file}:2` }).waitFor()
  await page.getByLabel('Filter keys').fill('--api-listen')
  await line(page, 'api.listen').filter({ hasText: 'flag' }).waitFor()
  await page.getByLabel('Filter keys').fill('ELLIE_AUTH__OPERATOR_TOKEN')
  await line(page, 'auth.operator_token').waitFor()
  assert.ok(!(await page.content()).includes(TOKEN), 'a secret is not shown')
  await page.reload()
  await line(page, 'auth.operator_token').waitFor()
  assert.equal(await page.locator('.line').count(), 1)
  await context.close()
})

test('a reload is in force: in the registry, in the traffic, on the screen', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await openPage(context, faults)
  await page.goto(`${ellie.ui}config?q=failure_threshold`)
  await settled(page, 'config')
  await until('a route that is in force', async () => (await asked()) === 502)
  for (let i = 0; i < 12; i++) assert.equal(await asked(), 502)
  assert.equal((await ellie.breaker('away')).state, 'closed')
  write(3)
  const dialog = await reload(page)
  await dialog.waitFor({ state: 'detached' })
  await page.locator('.toast.ok', { hasText: 'Reloaded' }).waitFor()
  assert.equal((await ellie.breaker('away')).config.failureThreshold, 3)
  await line(page, 'circuit_breaker.failure_threshold').locator('code', { hasText: /^3$/ }).waitFor()
  await until('a breaker that opens at fewer failures', async () => (await asked()) === 503 && (await ellie.breaker('away')).state === 'open')
  await context.close()
})

test('a faulty file is refused where it is asked for, and told until it is mended', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await openPage(context, faults)
  await page.goto(`${ellie.ui}config`)
  await settled(page, 'config')
  write(4, 'no_such_key = true')
  const dialog = await reload(page)
  await dialog.locator('.notice.bad', { hasText: 'circuit_breaker.no_such_key' }).waitFor()
  assert.equal((await ellie.breaker('away')).config.failureThreshold, 3, 'what was in force stays')
  await page.keyboard.press('Escape')
  await page.locator('.notice.bad', { hasText: 'The last reload was refused' }).waitFor()
  await page.getByRole('link', { name: 'Overview' }).click()
  await page.locator('[data-matters]', { hasText: 'no_such_key' }).waitFor()
  await page.goto(`${ellie.ui}config`)
  await settled(page, 'config')
  write(4, '[gateway]\nthreads = 1')
  await (await reload(page)).waitFor({ state: 'detached' })
  await page.locator('.notice.warn', { hasText: 'Waits for a restart' }).filter({ hasText: 'gateway.threads' }).waitFor()
  await page.locator('.notice.bad').waitFor({ state: 'detached' })
  assert.equal((await ellie.breaker('away')).config.failureThreshold, 4)
  await context.close()
})
