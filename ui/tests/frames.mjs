// Frame times while 10,000 rows are scrolled and 1,000 of them change every second. Prints a line of figures.
import { Ellie, openBrowser, openPage, settled } from './harness.mjs'

const SECONDS = Number(process.env.SECONDS ?? 20)
const ellie = await Ellie.start('serve')
await ellie.fleet(10_000, 100)
const browser = await openBrowser()
const page = await openPage(await browser.newContext({ viewport: { width: 1440, height: 900 } }), [])
await page.goto(`${ellie.ui}services?view=instances`)
await settled(page, 'services')
await page.getByText('10,000 instances', { exact: true }).waitFor()
let round = 0
const changes = setInterval(() => {
  round++
  void ellie.fleet(1000, 100, `1.0.${round}`, (round % 10) * 1000)
}, 1000)
const frames = await page.evaluate(
  (seconds) =>
    new Promise((resolve) => {
      const table = document.querySelector('.table')
      const times = []
      const began = performance.now()
      let last = began
      let down = true
      const step = (at) => {
        times.push(at - last)
        last = at
        table.scrollTop += down ? 180 : -180
        if (table.scrollTop + table.clientHeight >= table.scrollHeight - 1) down = false
        else if (table.scrollTop <= 0) down = true
        if (at - began < seconds * 1000) requestAnimationFrame(step)
        else resolve(times.slice(1))
      }
      requestAnimationFrame(step)
    }),
  SECONDS,
)
clearInterval(changes)
frames.sort((a, b) => a - b)
const q = (p) => frames[Math.min(frames.length - 1, Math.floor(frames.length * p))].toFixed(1)
console.log(`${frames.length} frames in ${SECONDS} s, ${round} rounds of 1,000 changes: median ${q(0.5)} ms, p95 ${q(0.95)} ms, p99 ${q(0.99)} ms, longest ${q(1)} ms`)
await browser.close()
await ellie.down()
