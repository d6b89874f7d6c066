/** `?`: the keys. */
import { signal } from '@preact/signals'
import { Dialog } from './dialog'
import { SCREENS } from './screens'

export const helping = signal(false)

const KEYS: [string[], string][] = [
  [['Ctrl', 'K'], 'go to anything, do anything'],
  [['/'], 'filter this screen'],
  [['j'], 'next row'],
  [['k'], 'row before'],
  [['Enter'], 'open the row'],
  [['Esc'], 'close, or clear the filter'],
  [['?'], 'these keys'],
]

export function Help() {
  if (!helping.value) return null
  return (
    <Dialog title="Keys" onClose={() => (helping.value = false)} kind="help">
      <div class="help-grid">
        <dl class="keys">
          {KEYS.map(([keys, what]) => (
            <div key={what}>
              <dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <dl class="keys">
          {SCREENS.map((screen) => (
            <div key={screen.key}>
              <dt>
                <kbd>g</kbd>
                <kbd>{screen.key}</kbd>
              </dt>
              <dd>{screen.label}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Dialog>
  )
}
