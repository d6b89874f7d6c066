/** Lines of a word's size. */
import { useMemo } from 'preact/hooks'

interface Props {
  values: readonly number[]
  width?: number
  height?: number
  /** At least this is the top, so that noise near zero does not look like a storm. */
  floor?: number
  tone?: string
  /** The window's length; a shorter past is drawn at its right end. */
  points?: number
  label: string
}

/** A line, filled down to zero; gaps where nothing was known. */
export function Spark({ values, width = 120, height = 28, floor = 0, tone = 'accent', points = 120, label }: Props) {
  const { line, area } = useMemo(() => trace(values, width, height, floor, points), [values, width, height, floor, points])
  return (
    <svg class={`spark ${tone}`} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="spark-area" d={area} />
      <path class="spark-line" d={line} vector-effect="non-scaling-stroke" />
    </svg>
  )
}

export function trace(values: readonly number[], width: number, height: number, floor: number, points: number): { line: string; area: string } {
  let top = floor
  for (const value of values) if (value > top) top = value
  if (top <= 0) top = 1
  const step = width / Math.max(1, points - 1)
  const from = width - (values.length - 1) * step
  const y = (value: number): string => (height - 1 - (value / top) * (height - 2.5)).toFixed(1)
  let line = ''
  let area = ''
  let open = -1
  const close = (i: number): void => {
    if (open >= 0) area += `L${(from + (i - 1) * step).toFixed(1)} ${height}L${(from + open * step).toFixed(1)} ${height}Z`
    open = -1
  }
  values.forEach((value, i) => {
    if (Number.isNaN(value)) {
      close(i)
      return
    }
    const at = `${(from + i * step).toFixed(1)} ${y(value)}`
    line += (open < 0 ? 'M' : 'L') + at
    area += (open < 0 ? 'M' : 'L') + at
    if (open < 0) open = i
  })
  close(values.length)
  return { line, area }
}
