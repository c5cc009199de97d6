// The theme without its web fonts: the site loads nothing from elsewhere and reads well in the system's own.
import DefaultTheme from 'vitepress/theme-without-fonts'
import './style.css'

export default DefaultTheme
