/** The analysis of `ellie why`. */
import type { Finding, FindingLevel } from '../lib/types'
import { Icon } from './icon'

const SIGNS: Record<FindingLevel, [string, string, string]> = {
  ok: ['ok', 'check', 'as it should be'],
  info: ['idle', 'dot', 'for information'],
  warning: ['warn', 'triangle', 'worth a look'],
  problem: ['bad', 'octagon', 'a reason for no traffic'],
}
const ORDER: FindingLevel[] = ['problem', 'warning', 'ok', 'info']

/** `without` are topics that stand elsewhere on the screen. */
export function Findings({ findings, without = [] }: { findings: readonly Finding[]; without?: readonly string[] }) {
  const sorted = findings.filter((finding) => finding.level === 'problem' || finding.level === 'warning' || !without.includes(finding.topic)).sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level))
  return (
    <ul class="findings">
      {sorted.map((finding, i) => {
        const [tone, icon, word] = SIGNS[finding.level]
        return (
          <li key={`${finding.topic}${i}`}>
            <span class={tone}><Icon name={icon} size={14} label={word} /></span>
            <span class="topic">{finding.topic}</span>
            <div>
              <div>{finding.text}</div>
              {finding.details?.map((detail) => <div key={detail} class="dim">{detail}</div>)}
            </div>
          </li>
        )
      })}
    </ul>
  )
}
