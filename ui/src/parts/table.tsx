/** A table of any length: only the rows in sight exist. */
import { Component, type ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { useAsList } from '../lib/keys'
import { medium, narrow } from '../lib/media'
import { go } from '../lib/router'
import { Icon } from './icon'

export interface Column<T> {
  id: string
  label: string
  /** A grid track: `120px`, `minmax(160px, 2fr)`. */
  width: string
  end?: boolean
  /** Left out where there is less room. */
  wide?: boolean
  /** Not a way to sort. */
  fixed?: boolean
  /** The first click sorts from the largest. */
  down?: boolean
  title?: string
  cell: (row: T) => ComponentChildren
}

export interface Sorting {
  by: string
  down: boolean
}

/** `rps` or `-rps` of the address; `-` is from the largest. */
export function sortingOf(text: string, fallback: Sorting): Sorting {
  if (!text) return fallback
  return text.startsWith('-') ? { by: text.slice(1), down: true } : { by: text, down: false }
}

interface Props<T> {
  label: string
  rows: readonly T[]
  columns: readonly Column<T>[]
  keyOf: (row: T) => string
  /** A row is drawn again when this changes. */
  revOf: (row: T) => unknown
  href?: (row: T) => string
  sorting?: Sorting
  onSort?: (text: string) => void
  /** How a row looks on a telephone. */
  compact: (row: T) => ComponentChildren
  compactHeight?: number
  rowHeight?: number
  empty?: ComponentChildren
  /** As high as its rows, up to so many; otherwise it fills what is left of the screen. */
  most?: number
  toneOf?: (row: T) => string
}

const OVERSCAN = 8
const GAP = 12
const EDGE = 20

/** The width under which the columns would not fit: the head and every row share it, so that they stay in line. */
function least(columns: readonly { width: string }[]): number {
  const sum = columns.reduce((all, { width }) => all + Number(/(\d+)px/.exec(width)?.[1] ?? 80), 0)
  return sum + GAP * (columns.length - 1) + EDGE
}

export function Table<T>(props: Props<T>) {
  const { rows, keyOf, href, sorting, onSort } = props
  const small = narrow.value
  const compactHeight = props.compactHeight ?? 56
  const height = small ? compactHeight : (props.rowHeight ?? 34)
  const cramped = medium.value
  const columns = useMemo(() => (cramped ? props.columns.filter((column) => !column.wide) : props.columns), [props.columns, cramped])
  const tracks = columns.map((column) => column.width).join(' ')
  const minWidth = small ? '' : `${least(columns)}px`
  const scroller = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ first: 0, count: 30 })
  const [cursor, setCursor] = useState(-1)
  const latest = useRef({ rows, cursor, href, height })
  latest.current = { rows, cursor, href, height }

  const measure = (): void => {
    const element = scroller.current
    if (!element) return
    const first = Math.max(0, Math.floor(element.scrollTop / latest.current.height) - OVERSCAN)
    const count = Math.ceil(element.clientHeight / latest.current.height) + 2 * OVERSCAN
    setView((old) => (old.first === first && old.count === count ? old : { first, count }))
  }
  useLayoutEffect(measure, [height, rows.length])
  useEffect(() => {
    const element = scroller.current
    if (!element) return
    const watcher = new ResizeObserver(measure)
    watcher.observe(element)
    return () => watcher.disconnect()
  }, [])
  useEffect(
    () =>
      useAsList({
        move: (by) => {
          const { rows, cursor, height } = latest.current
          show(Math.max(0, Math.min(rows.length - 1, cursor + by)), height)
        },
        edge: (last) => show(last ? latest.current.rows.length - 1 : 0, latest.current.height),
        open: () => {
          const { rows, cursor, href } = latest.current
          const row = rows[cursor]
          if (row !== undefined && href) go(href(row))
        },
      }),
    [],
  )
  const show = (at: number, height: number): void => {
    setCursor(at)
    const element = scroller.current
    if (!element || at < 0) return
    const top = at * height
    const room = element.clientHeight - (small ? 0 : 30)
    if (top < element.scrollTop) element.scrollTop = top
    else if (top + height > element.scrollTop + room) element.scrollTop = top + height - room
  }

  const slots: ComponentChildren[] = []
  const end = Math.min(rows.length, view.first + view.count)
  for (let i = view.first; i < end; i++) {
    const row = rows[i] as T
    slots.push(
      <Line
        key={i % view.count}
        row={row}
        id={keyOf(row)}
        rev={props.revOf(row)}
        at={i}
        height={height}
        tracks={tracks}
        columns={columns}
        active={i === cursor}
        small={small}
        compact={props.compact}
        href={href?.(row)}
        tone={props.toneOf?.(row) ?? ''}
      />,
    )
  }
  const own = props.most === undefined ? {} : { maxHeight: `${(small ? 0 : 30) + height * Math.min(props.most, Math.max(1, rows.length)) + 1}px` }
  return (
    <div
      class={`table ${props.most === undefined ? 'fill' : ''} ${small ? 'compact' : ''}`}
      role="table"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      ref={scroller}
      style={own}
      tabIndex={0}
      onScroll={measure}
    >
      {!small && (
        <div class="thead" role="rowgroup" style={{ minWidth }}>
          <div class="tr" role="row" style={{ gridTemplateColumns: tracks }}>
            {columns.map((column) => (
              <HeadCell key={column.id} column={column} sorting={sorting} onSort={onSort} />
            ))}
          </div>
        </div>
      )}
      {rows.length === 0 ? (
        <div class="table-empty">{props.empty}</div>
      ) : (
        <div class="tbody" role="rowgroup" style={{ height: `${rows.length * height}px`, minWidth }}>
          {slots}
        </div>
      )}
    </div>
  )
}

function HeadCell<T>({ column, sorting, onSort }: { column: Column<T>; sorting: Sorting | undefined; onSort: ((text: string) => void) | undefined }) {
  const here = sorting?.by === column.id
  const sort = here ? (sorting.down ? 'descending' : 'ascending') : undefined
  const can = onSort && !column.fixed && column.label
  const next = here ? !sorting.down : (column.down ?? false)
  return (
    <div class={`th ${column.end ? 'end' : ''}`} role="columnheader" aria-sort={sort} title={column.title}>
      {can ? (
        <button type="button" onClick={() => onSort(`${next ? '-' : ''}${column.id}`)}>
          <span>{column.label}</span>
          {here && <span class={`sort ${sorting.down ? 'down' : ''}`} aria-hidden="true" />}
        </button>
      ) : column.label ? (
        <span>{column.label}</span>
      ) : (
        <span class="offscreen">Actions</span>
      )}
    </div>
  )
}

interface LineProps {
  row: unknown
  id: string
  rev: unknown
  at: number
  height: number
  tracks: string
  columns: readonly Column<never>[]
  active: boolean
  small: boolean
  compact: (row: never) => ComponentChildren
  href: string | undefined
  tone: string
}

/** A row; it is drawn only when something of it changed. */
class Line extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps): boolean {
    const p = this.props
    return next.row !== p.row || next.rev !== p.rev || next.at !== p.at || next.active !== p.active || next.tracks !== p.tracks || next.columns !== p.columns || next.small !== p.small || next.height !== p.height || next.tone !== p.tone
  }

  override render() {
    const { row, at, height, tracks, columns, active, small, compact, href, tone } = this.props
    const place = { transform: `translateY(${at * height}px)`, height: `${height}px` }
    const open = (event: MouseEvent): void => {
      if (!href || (event.target as Element).closest('a, button, input, select, label')) return
      if (window.getSelection()?.toString()) return
      go(href)
    }
    if (small) {
      return (
        <div class={`line compact-line ${active ? 'active' : ''} ${tone}`} role="row" aria-rowindex={at + 2} style={place} onClick={open}>
          <div role="cell" class="compact-cell">{compact(row as never)}</div>
        </div>
      )
    }
    return (
      <div class={`line tr ${active ? 'active' : ''} ${tone} ${href ? 'opens' : ''}`} role="row" aria-rowindex={at + 2} style={{ ...place, gridTemplateColumns: tracks }} onClick={open}>
        {columns.map((column) => (
          <div key={column.id} class={`td ${column.end ? 'end' : ''}`} role="cell">
            {column.cell(row as never)}
          </div>
        ))}
      </div>
    )
  }
}

/** A menu of a row. */
export function More({ label, onClick }: { label: string; onClick: () => void }) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={onClick}>
      <Icon name="more" />
    </button>
  )
}
