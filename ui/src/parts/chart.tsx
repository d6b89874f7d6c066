/** A plot of the last minutes, by uPlot. */
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { paint } from '../lib/theme'

export interface Line {
  label: string
  values: readonly (number | null)[]
  /** A custom property of the theme, such as `--accent`. */
  color: string
  fill?: boolean
}

interface Props {
  label: string
  /** Seconds between points; the last point is now. */
  step: number
  lines: Line[]
  format: (n: number) => string
  floor?: number
  height?: number
}

/** What a custom property is at this moment, as a colour a canvas takes. */
function color(property: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${property})`
  document.body.append(probe)
  const value = getComputedStyle(probe).color
  probe.remove()
  return value
}

/** The whole window, whatever part of it is known: a young server, or a service without traffic, has an axis all the same. */
const POINTS = 120

function data(lines: readonly Line[], step: number): uPlot.AlignedData {
  const length = Math.max(POINTS, ...lines.map((line) => line.values.length))
  const end = Math.floor(Date.now() / 1000)
  const x = Array.from({ length }, (_, i) => end - (length - 1 - i) * step)
  return [x, ...lines.map((line) => [...Array<null>(length - line.values.length).fill(null), ...line.values.map((v) => (v === null || Number.isNaN(v) ? null : v))])]
}

export function Chart({ label, step, lines, format, floor = 1, height = 130 }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const look = paint.value
  useEffect(() => {
    const element = box.current
    if (!element) return
    const [text, grid] = [color('--text-3'), color('--line')]
    const axis = { stroke: text, font: '11px sans-serif', grid: { stroke: grid, width: 1 }, ticks: { show: false } }
    const made = new uPlot(
      {
        width: element.clientWidth || 400,
        height,
        padding: [8, 4, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 } },
        scales: { y: { range: (_, __, max) => [0, Math.max(floor, (max || 0) * 1.08)] } },
        axes: [{ ...axis, size: 26, space: 70, values: [[60, '{HH}:{mm}', null, null, null, null, null, null, 1], [1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]] }, { ...axis, size: 58, values: (_, ticks) => ticks.map((n) => format(n)) }],
        series: [{}, ...lines.map((line) => {
          const stroke = color(line.color)
          return { label: line.label, stroke, width: 1.4, points: { show: false }, ...(line.fill ? { fill: stroke.replace('rgb(', 'rgba(').replace(')', ', 0.12)') } : {}) }
        })],
      },
      data(lines, step),
      element,
    )
    plot.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }))
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [look, height, lines.map((line) => line.label).join()])
  useEffect(() => {
    plot.current?.setData(data(lines, step))
  })
  return (
    <figure class="chart" aria-label={label}>
      <figcaption>
        <span>{label}</span>
        {lines.map((line) => {
          const last = line.values.at(-1)
          return (
            <span key={line.label} class="chart-key">
              <i style={{ background: `var(${line.color})` }} /> {lines.length > 1 ? line.label : ''} <strong class="num">{last === null || last === undefined || Number.isNaN(last) ? '–' : format(last)}</strong>
            </span>
          )
        })}
      </figcaption>
      <div ref={box} />
    </figure>
  )
}
