/** Light, dark, or as the system has it. */
import { signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'ellie.theme'

function kept(): Theme {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : 'system'
  } catch {
    return 'system'
  }
}

export const theme = signal<Theme>(kept())
/** Changes when colours do: what draws on a canvas reads it. */
export const paint = signal(0)

export function applyTheme(value: Theme): void {
  theme.value = value
  const root = document.documentElement
  if (value === 'system') root.removeAttribute('data-theme')
  else root.setAttribute('data-theme', value)
  try {
    if (value === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, value)
  } catch {
    // Then it lasts as long as the page.
  }
  paint.value++
}

export function nextTheme(): void {
  applyTheme(theme.peek() === 'system' ? 'light' : theme.peek() === 'light' ? 'dark' : 'system')
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => paint.value++)
