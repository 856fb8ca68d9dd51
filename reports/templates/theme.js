try {
    const theme = localStorage.getItem('bv-theme');
    if (theme === 'light' || theme === 'dark')
        document.documentElement.dataset.theme = theme;
} catch (refused) { /* storage is off: the system's theme it is */ }
