declare module '*/generated/stock-gradients.js'
