import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.test.{ts,tsx}'],
    server: {
      // JupyterLab's packages are written for a bundler (extensionless
      // imports, styles): they go through the same transformation as ours.
      deps: { inline: [/@jupyterlab/, /@lumino/, /@jupyter\//] }
    }
  }
});
