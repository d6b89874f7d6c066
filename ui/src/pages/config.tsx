/** What is in force, and who said so. */
import { useMemo } from 'preact/hooks'
import { count, int } from '../lib/format'
import { filter, refine } from '../lib/router'
import { useLoad } from '../lib/load'
import { matcher } from '../lib/sorted'
import type { ConfigItem, ConfigPage } from '../lib/types'
import { ActButtons } from '../parts/act'
import { Ago, Empty, Failed, Filter, Head, Loading, Segments } from '../parts/bits'
import { Icon } from '../parts/icon'
import { Providers } from '../parts/providers'
import { type Column, Table } from '../parts/table'
import { reload } from '../state/acts'
import { events, mode } from '../state/store'

const originText = (item: ConfigItem): string => item.origin.name ?? (item.origin.file ? `${item.origin.file}:${item.origin.line ?? ''}` : (item.origin.text ?? item.origin.kind))

const COLUMNS: Column<ConfigItem>[] = [
  { id: 'key', label: 'Key', width: 'minmax(190px, 1fr)', fixed: true, cell: (i) => <code class="clip">{i.key}</code> },
  { id: 'value', label: 'Value', width: 'minmax(150px, 1.2fr)', fixed: true, cell: (i) => <code class={`clip ${i.value === undefined ? 'dim' : ''}`} title={i.value}>{i.value ?? 'not set'}</code> },
  { id: 'kind', label: 'From', width: '84px', fixed: true, cell: (i) => <span class={i.origin.kind === 'default' ? 'dim' : 'strong'}>{i.origin.kind}</span> },
  { id: 'origin', label: 'Where', width: 'minmax(140px, 1fr)', fixed: true, cell: (i) => <span class="mono clip dim">{i.origin.kind === 'default' ? '' : originText(i)}</span> },
  { id: 'restart', label: 'Takes effect', width: '130px', fixed: true, wide: true, cell: (i) => <span class="dim">{i.restart ? 'at a restart' : 'on reload'}</span> },
]

export default function Config() {
  // A reload shows in the journal.
  const last = events.value.findLast((e) => e.kind === 'config-reloaded' || e.kind === 'config-rejected')
  const { data, error, again } = useLoad<ConfigPage>('ui/config', last?.id)
  const [query, kind] = [filter('q'), filter('from')]
  const rows = useMemo(() => {
    const takes = matcher(query)
    return (data?.items ?? []).filter((i) => (!kind || (kind === 'set' ? i.origin.kind !== 'default' : i.origin.kind === kind)) && takes(`${i.key} ${i.value ?? ''} ${originText(i)}`.toLowerCase()))
  }, [data, query, kind])
  if (error && !data) return <div><Head title="Config" /><Failed what="The configuration could not be loaded" error={error} retry={again} /><Empty title="From a shell" commands={['ellie config show --origin', 'ellie check-config ellie.toml']}>The command line tells every value in force and where it came from.</Empty></div>
  if (!data) return <div><Head title="Config" /><Loading what="the configuration" /></div>
  const set = data.items.filter((i) => i.origin.kind !== 'default').length
  const rejected = mode.value.configRejected
  return (
    <div class="page">
      <Head title="Config" sub={<><span>{data.file ? <code>{data.file}</code> : 'no file'}</span><span>defaults &lt; file &lt; environment &lt; flags</span>{data.loadedAt && <span>read <Ago at={data.loadedAt} /></span>}</>}>
        {data.reloadable && <ActButtons acts={[reload(data.file)]} />}
      </Head>
      {rejected && <div class="notice bad"><Icon name="octagon" /><div><strong>The last reload was refused; the configuration before is in force</strong><div>{rejected.message}</div></div></div>}
      {data.pending?.length ? <div class="notice warn"><Icon name="clock" /><div><strong>Waits for a restart</strong>{data.pending.map((p) => <div key={p.key}><code>{p.key}</code> {p.from ?? 'not set'} → {p.to ?? 'not set'}</div>)}</div></div> : null}
      {data.warnings?.map((text) => <div key={text} class="notice warn"><Icon name="triangle" /><div>{text}</div></div>)}
      <Providers />
      <div class="tools">
        <Filter label="Filter keys" placeholder="Key, value, origin" value={query} onChange={(q) => refine({ q })} />
        <Segments label="From" value={kind} onChange={(from) => refine({ from })} choices={[{ value: '', label: 'All', count: data.items.length }, { value: 'set', label: 'Set by somebody', count: set }, { value: 'default', label: 'Default', count: data.items.length - set }]} />
        <span class="dim">{count(data.services?.length ?? 0, 'static instance')}, {count(data.routes?.length ?? 0, 'route')} in the file</span>
      </div>
      <Table label="Configuration" rows={rows} columns={COLUMNS} rowHeight={30} keyOf={(i) => i.key} revOf={(i) => i.value} compact={(i) => <><div class="compact-top"><code class="clip">{i.key}</code><span class="dim">{i.origin.kind}</span></div><div class="compact-sub mono clip">{i.value ?? 'not set'}</div></>} empty={<p class="no-match">{int(data.items.length)} keys, none of which matches.</p>} />
    </div>
  )
}
