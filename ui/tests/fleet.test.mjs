// Many instances, many tabs, and a server that goes away.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Ellie, SubPath, openBrowser, openPage, settled, until } from './harness.mjs'

let ellie
let browser
const faults = []

before(async () => {
  ellie = await Ellie.start('serve')
  browser = await openBrowser()
})

after(async () => {
  await browser?.close()
  await ellie?.down()
  assert.deepEqual(faults, [], 'nothing went wrong in any page')
})

/** How many connections stand to the dashboard, seen from the kernel. */
async function connections() {
  const { readFile } = await import('node:fs/promises')
  const port = ellie.ports.dashboard.toString(16).toUpperCase().padStart(4, '0')
  const table = await readFile('/proc/net/tcp', 'utf8')
  return table.split('\n').filter((line) => new RegExp(`^\\s*\\d+: \\w+:${port} \\w+:\\w+ 01 `).test(line)).length
}

test('nothing registered: every screen says what to do, with commands to copy', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await openPage(context, faults)
  for (const [screen, path] of [['overview', ''], ['services', 'services'], ['service', 'services/users'], ['instance', 'services/users/users-1'], ['balancer', 'balancer'], ['breakers', 'breakers'], ['gateway', 'gateway'], ['topology', 'topology']]) {
    await page.goto(ellie.ui + path)
    await settled(page, screen)
    await page.locator('.empty .command').first().waitFor()
  }
  await context.close()
})

test('under a sub-path of a reverse proxy everything works, and looking changes nothing', async () => {
  await ellie.fleet(1000, 1000)
  const proxy = await SubPath.start('/tools/ellie', ellie.ports.dashboard)
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  try {
    const before = (await ellie.get('/services')).index
    const page = await openPage(context, faults)
    for (const [screen, path] of [['services', 'services'], ['instance', 'services/svc-3/i-3'], ['balancer', 'balancer?service=svc-3'], ['breakers', 'breakers'], ['topology', 'topology?focus=svc-3'], ['events', 'events'], ['overview', '']]) {
      await page.goto(`${proxy.url}/ui/${path}`)
      await settled(page, screen)
      await page.getByText('Live', { exact: true }).waitFor()
    }
    await page.getByRole('link', { name: 'Breakers', exact: true }).click()
    await settled(page, 'breakers')
    assert.equal(new URL(page.url()).pathname, '/tools/ellie/ui/breakers')
    assert.equal((await ellie.get('/services')).index, before)
  } finally {
    await context.close()
    await proxy.end()
  }
})

test('a thousand services: only the rows in sight exist', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await openPage(context, faults)
  await page.goto(`${ellie.ui}services`)
  await settled(page, 'services')
  await page.getByText('1,000 services', { exact: true }).waitFor()
  assert.ok((await page.locator('.line').count()) < 80)
  await page.locator('.table').evaluate((table) => table.scrollTo(0, table.scrollHeight))
  await page.getByText('svc-999', { exact: true }).waitFor()
  await page.getByLabel('Filter', { exact: true }).fill('svc-77')
  await page.getByText('11 of 1,000 services').waitFor()
  await context.close()
})

test('a change shows without a reload', async () => {
  const context = await browser.newContext()
  const page = await openPage(context, faults)
  await page.goto(`${ellie.ui}services/svc-5`)
  await settled(page, 'service')
  await ellie.send('PUT', '/services/svc-5/instances/i-5/drain', {})
  await page.locator('.line', { hasText: 'draining' }).waitFor()
  await ellie.send('PUT', '/services/svc-5/instances/i-5/undrain', {})
  await page.locator('.line', { hasText: 'healthy' }).waitFor()
  await context.close()
})

test('two tabs and eight tabs are one stream, and all of them follow', async () => {
  const context = await browser.newContext()
  const pages = []
  const open = async () => {
    const page = await openPage(context, faults)
    await page.goto(`${ellie.ui}services/svc-7`)
    await settled(page, 'service')
    pages.push(page)
  }
  await open()
  await open()
  // What a page asks for by itself is answered and its connection may be kept; a stream is asked for by the worker alone.
  for (const page of pages) assert.equal(await page.evaluate(() => performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/ui/stream')).length), 0)
  while (pages.length < 8) await open()
  for (const page of pages) assert.equal(await page.evaluate(() => performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/ui/stream')).length), 0)
  // A browser keeps at most six connections to a host: were each tab to hold one, the seventh would hang.
  assert.ok((await connections()) <= 6, 'connections are shared')
  await ellie.send('PUT', '/services/svc-7/instances/i-7/drain', {})
  for (const page of pages) await page.locator('.line', { hasText: 'draining' }).waitFor()
  await pages.shift()?.close()
  await ellie.send('PUT', '/services/svc-7/instances/i-7/undrain', {})
  for (const page of pages) await page.locator('.line', { hasText: 'healthy' }).waitFor()
  await context.close()
})

test('a server that goes is told at once, with how old the figures are; one that comes back is followed', async () => {
  const context = await browser.newContext()
  const page = await openPage(context, faults)
  await page.goto(`${ellie.ui}services`)
  await settled(page, 'services')
  await page.getByText('Live', { exact: true }).waitFor()
  await ellie.down()
  await page.locator('.link', { hasText: /As of \d+ .*ago/ }).waitFor()
  await page.waitForSelector('html[data-stale]')
  assert.ok((await page.locator('.line').count()) > 0, 'what was known stays')
  await ellie.up()
  await ellie.fleet(3, 3)
  await page.getByText('3 services', { exact: true }).waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  assert.equal(await page.locator('html[data-stale]').count(), 0)
  await context.close()
})
