import { defineConfig } from 'vite'

// Assets are found relative to the page's <base>, which the server sets: the same build works under any sub-path.
export default defineConfig({
  base: './',
  // While one edits there is no server that sets it.
  plugins: [{ name: 'base', apply: 'serve', transformIndexHtml: (html) => html.replace('<base href="./">', '<base href="/">') }],
  build: {
    outDir: '../crates/ellie-server/ui-dist',
    emptyOutDir: true,
    // light-dark() and CSS nesting are used as they are.
    target: ['chrome123', 'firefox121', 'safari17.5'],
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    sourcemap: false,
  },
  worker: { format: 'es' },
  server: { proxy: { '/api': process.env['ELLIE_DASHBOARD'] ?? 'http://127.0.0.1:8080' } },
})
